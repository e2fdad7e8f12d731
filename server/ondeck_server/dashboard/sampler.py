"""Samples of the metrics over the last minutes, taken often only while the page is open."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog

from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.dashboard.metric_samples import ServerSample, read_sample
from ondeck_server.dashboard.traffic import latency_bars, method_table, status_table, traffic_points

WATCHED_SECONDS: Final = 3.0  # between samples while the page is open
IDLE_SECONDS: Final = 15.0
WATCH_END_SECONDS: Final = 10.0  # without a request, after which the page counts as closed
KEPT_SECONDS: Final = 900.0
RECENT_SECONDS: Final = 60.0  # of the tables

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RecentTraffic:
    """The traffic of the last minutes as JSON values: `points` maps each field to a column, the oldest value first."""

    at: float
    recent_seconds: float
    points: dict[str, list[float | None]]
    latency: list[dict[str, Any]]
    statuses: list[dict[str, Any]]
    methods: list[dict[str, Any]]


class Sampler:
    """Takes samples of a metrics page at intervals; `on_sample` is called with each."""

    def __init__(self, page: Callable[[], bytes], on_sample: Callable[[ServerSample], None] = lambda _: None) -> None:
        self._page = page
        self._on_sample = on_sample
        self._samples: deque[ServerSample] = deque()
        self._watched_until = 0.0
        self._watch_begins = asyncio.Event()

    @asynccontextmanager
    async def repeat(self, tasks: TaskMonitor) -> AsyncIterator[None]:
        """Take samples within the block."""
        async with tasks.restarting(dashboard_samples=self._repeat):
            yield

    def watch(self) -> None:
        """Record that the page is open."""
        was_watched = time.monotonic() < self._watched_until
        self._watched_until = time.monotonic() + WATCH_END_SECONDS
        if not was_watched:
            self._watch_begins.set()

    @property
    def last(self) -> ServerSample | None:
        """The last sample."""
        return self._samples[-1] if self._samples else None

    def traffic(self) -> RecentTraffic | None:
        """Return the traffic of the samples that are kept; None before the first."""
        if not self._samples:
            return None
        last, first = self._samples[-1], self._recent()
        points = [asdict(point) for point in traffic_points(self._samples)]
        names = points[0].keys() if points else ()
        return RecentTraffic(
            at=last.at,
            recent_seconds=last.at - first.at,
            points={name: [_rounded(point[name]) for point in points] for name in names},
            latency=latency_bars(first, last),
            statuses=status_table(first, last),
            methods=method_table(first, last),
        )

    def _recent(self) -> ServerSample:
        """Return the sample with which the last minute begins."""
        begin = self._samples[-1].at - RECENT_SECONDS
        earlier = [sample for sample in self._samples if sample.at <= begin]
        return earlier[-1] if earlier else self._samples[0]

    async def _repeat(self) -> None:
        while True:
            self.take()
            is_watched = time.monotonic() < self._watched_until
            try:
                self._watch_begins.clear()
                async with asyncio.timeout(WATCHED_SECONDS if is_watched else IDLE_SECONDS):
                    await self._watch_begins.wait()
            except TimeoutError:
                continue

    def take(self) -> None:
        """Take a sample now; a page that cannot be read is logged."""
        try:
            sample = read_sample(self._page(), time.time())
        except Exception as failed:  # noqa: BLE001  metrics are never a reason to stop the server
            log.warning("sample_failed", detail="the dashboard misses a sample", reason=str(failed))
            return
        while self._samples and self._samples[-1].at >= sample.at:
            self._samples.pop()  # the clock was set back
        self._samples.append(sample)
        while self._samples[0].at < sample.at - KEPT_SECONDS:
            self._samples.popleft()
        self._on_sample(sample)


def _rounded(value: float | None) -> float | None:
    """Round to microseconds; more digits only make the response longer."""
    return None if value is None else round(value, 6)
