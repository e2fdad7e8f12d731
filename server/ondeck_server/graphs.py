"""Graphs, asked as they are: features in, tensors out. Whoever asks in one turn of the event loop shares a run."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix
from ondeck_server.batching import QueueFullError
from ondeck_server.models.loaded import LoadedGraph
from ondeck_server.models.session import Session
from ondeck_server.settings import ROWS_A_RUN

Outputs: TypeAlias = Sequence[NDArray[Any]]
LAST: Final = 1 << 32  # of all priorities; requests that name none have it
_priority = attrgetter("priority")
_now = time.perf_counter_ns


class WaitedTooLongError(OndeckError):
    """A request was not run within the time that it gave itself."""


@dataclass(slots=True)
class Tally:
    """What one version did since the process started; durations are sums over requests, in nanoseconds.

    `rows` were answered by `runs`; `ran` requests went through them. `last` is in milliseconds since 1970.
    """

    last: int = 0
    rows: int = 0
    runs: int = 0
    ran: int = 0
    queue: int = 0
    compute_input: int = 0
    compute_infer: int = 0
    compute_output: int = 0
    succeeded: int = 0
    success: int = 0
    failed: int = 0
    fail: int = 0


@dataclass(slots=True)
class _Waiting:
    features: Matrix
    answer: asyncio.Future[Outputs]
    priority: int
    since: int
    until: float


class Graph:
    """The runs of one version's graph, shared by its callers on the event loop that it is used on."""

    def __init__(self, session: Session, tally: Tally, max_waiting_rows: int) -> None:
        self.session = session
        self.tally = tally
        self._limit = max_waiting_rows
        self._waiting: list[_Waiting] = []
        self._waiting_rows = 0
        self._plain = True  # none of those who wait has a priority or a limit
        self._scheduled = False

    def start(self, features: Matrix, *, priority: int = LAST, seconds: float | None = None) -> asyncio.Future[Outputs]:
        """Have features of shape (n, width) run, those of the lowest priority number first, within `seconds`.

        The future gives the tensors of `session.outputs`, n rows each, or raises WaitedTooLongError. One that is
        cancelled is dropped before its run.

        Raises:
            QueueFullError: too many rows wait already.
        """
        if self._waiting_rows + len(features) > self._limit:
            raise QueueFullError(f"{self._waiting_rows} rows wait already, {self._limit} may; try again shortly")
        loop = asyncio.get_running_loop()
        if len(features) > ROWS_A_RUN:
            return loop.create_task(self._in_parts(features, priority, seconds))
        return self._submit(loop, features, priority, seconds)

    async def _in_parts(self, features: Matrix, priority: int, seconds: float | None) -> Outputs:
        loop = asyncio.get_running_loop()
        parts = [
            await self._submit(loop, features[at : at + ROWS_A_RUN], priority, seconds)
            for at in range(0, len(features), ROWS_A_RUN)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _submit(
        self, loop: asyncio.AbstractEventLoop, features: Matrix, priority: int, seconds: float | None
    ) -> asyncio.Future[Outputs]:
        answer: asyncio.Future[Outputs] = loop.create_future()
        until = float("inf") if seconds is None else loop.time() + seconds
        self._waiting.append(_Waiting(features, answer, priority, _now(), until))
        self._waiting_rows += len(features)
        if priority != LAST or seconds is not None:
            self._plain = False
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._run, loop)
        return answer

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._plain:
            self._waiting = _in_time(self._waiting, loop.time())
        batch = self._take()
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            loop.call_soon(self._run, loop)
        present = [each for each in batch if not each.answer.done()]
        if not present:
            return
        begun = _now()
        try:
            features = present[0].features if len(present) == 1 else np.concatenate([each.features for each in present])
            ready = _now()
            outputs = self.session.infer(features)
        except Exception as broken:  # noqa: BLE001  whatever it is, each caller is told, and the loop goes on
            for each in present:
                each.answer.set_exception(broken)
            return
        ran = _now()
        _give(present, outputs)
        self._count(present, len(features), (begun, ready, ran, _now()))

    def _take(self) -> list[_Waiting]:
        if self._waiting_rows <= ROWS_A_RUN:
            batch, self._waiting = self._waiting, []
            self._waiting_rows = 0
            self._plain = True
            return batch
        rows, count = 0, 0
        for each in self._waiting:
            if count and rows + len(each.features) > ROWS_A_RUN:
                break
            rows, count = rows + len(each.features), count + 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_rows -= rows
        return batch

    def _count(self, present: list[_Waiting], rows: int, moments: tuple[int, int, int, int]) -> None:
        begun, ready, ran, given = moments
        tally, requests = self.tally, len(present)
        tally.rows += rows
        tally.runs += 1
        tally.ran += requests
        tally.queue += requests * begun - sum([each.since for each in present])
        tally.compute_input += requests * (ready - begun)
        tally.compute_infer += requests * (ran - ready)
        tally.compute_output += requests * (given - ran)


class Graphs:
    """The graphs of all versions that were asked, with what each did."""

    def __init__(self, max_waiting_rows: int) -> None:
        self._limit = max_waiting_rows
        self._graphs: dict[tuple[str, int], Graph] = {}

    def of(self, version: LoadedGraph) -> Graph:
        """Find the graph of a version; one that was loaded anew goes on counting."""
        key = (version.manifest.model, version.manifest.version)
        graph = self._graphs.get(key)
        if graph is None or graph.session is not version.session:
            graph = self._graphs[key] = Graph(version.session, graph.tally if graph else Tally(), self._limit)
        return graph

    def tally(self, model: str, version: int) -> Tally:
        """Tell what a version did."""
        graph = self._graphs.get((model, version))
        return graph.tally if graph else Tally()


def _in_time(waiting: list[_Waiting], now: float) -> list[_Waiting]:
    """Tell those off who waited too long, and put the others in the order of their priorities."""
    for each in waiting:
        if each.until < now and not each.answer.done():
            each.answer.set_exception(WaitedTooLongError("the request waited longer than its timeout allows"))
    return sorted(waiting, key=_priority)  # stable: those of one priority keep their order


def _give(present: list[_Waiting], outputs: Outputs) -> None:
    if len(present) == 1:
        present[0].answer.set_result(outputs)
        return
    at = 0
    for each in present:
        end = at + len(each.features)
        each.answer.set_result([output[at:end] for output in outputs])
        at = end
