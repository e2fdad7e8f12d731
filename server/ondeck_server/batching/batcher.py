"""Dynamic batching: requests that arrive during one turn of the event loop share one run of the graph.

A run starts on the next turn of the loop, unless the operator allows a queue delay to collect larger batches.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

import numpy as np

from ondeck_core.instances import Matrix
from ondeck_server.batching.queue import (
    DeadlineUnmeetableError,
    Outputs,
    PendingRequest,
    Priority,
    RowQueue,
    RowReservation,
)
from ondeck_server.batching.sliced_work import SlicedWork

MAX_BATCH_ROWS: Final = 256  # a run of this size takes a few milliseconds
INTERACTIVE_ROWS: Final = 32  # calls of more rows are BULK unless the caller sets a priority
INLINE_SECONDS: Final = 0.004  # longer runs use a thread; `benchmarks/thread_offload.py` measures the cost
_NANOSECONDS: Final = 1e9
_PRIORITIES: Final = tuple(Priority)
_CORRECTION_MEMORY: Final = 0.9  # weight of earlier runs in the correction of the latency model
_MAX_CORRECTION: Final = 20.0  # limits the effect of a single run that the machine delayed

Run: TypeAlias = Callable[[Matrix], Outputs]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class BatchingConfig:
    """Batching of every version; a row may wait `max_queue_delay_seconds`, and `executor` runs long batches.

    `sliced_work` is shared by all versions.
    """

    max_queued_rows: int
    max_queue_delay_seconds: float
    executor: Executor
    sliced_work: SlicedWork = field(default_factory=SlicedWork)


@dataclass(slots=True)
class InferenceStats:
    """Counters of one version since its process started, with the meaning of Triton's statistics.

    Durations are sums over calls, from `queue_ns` on over `batched_calls`. `last_inference_ms` is since 1970.
    """

    last_inference_ms: int = 0
    inference_count: int = 0  # rows
    execution_count: int = 0  # runs
    success_count: int = 0
    success_ns: int = 0
    fail_count: int = 0
    fail_ns: int = 0
    batched_calls: int = 0
    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class TimedRun:
    """Rows and seconds of one run."""

    rows: int
    seconds: float


class LatencyModel:
    """Predicts the seconds of a run: linear in the rows, fitted at warm-up and corrected by every run."""

    def __init__(self, warm_up: Sequence[TimedRun] = ()) -> None:
        self._intercept, self._slope = _fit_line(warm_up)
        self._correction = 1.0

    def seconds(self, rows: int) -> float:
        """Return the expected seconds of a run of `rows` rows."""
        return self._correction * (self._intercept + self._slope * rows)

    def rows_within(self, seconds: float) -> int:
        """Return how many rows a run of at most `seconds` may have."""
        start, row = self._correction * self._intercept, self._correction * self._slope
        return int(max(seconds - start, 0.0) / row) if row > 0 else sys.maxsize

    def update(self, run: TimedRun) -> None:
        """Correct the model by a measured run."""
        expected = self._intercept + self._slope * run.rows
        if expected > 0:
            ratio = min(run.seconds / expected, _MAX_CORRECTION)
            self._correction = _CORRECTION_MEMORY * self._correction + (1 - _CORRECTION_MEMORY) * ratio


def _fit_line(warm_up: Sequence[TimedRun]) -> tuple[float, float]:
    """Return intercept and slope of the line through the smallest and the largest run."""
    if not warm_up:
        return 0.0, 0.0
    small, large = min(warm_up, key=lambda run: run.rows), max(warm_up, key=lambda run: run.rows)
    slope = max(large.seconds - small.seconds, 0.0) / max(large.rows - small.rows, 1)
    return max(small.seconds - slope * small.rows, 0.0), slope


def priority_of(rows: int) -> Priority:
    """Return the default priority of a call of `rows` rows."""
    return Priority.INTERACTIVE if rows <= INTERACTIVE_ROWS else Priority.BULK


class Batcher:
    """Batches the rows of concurrent calls for one graph, on the event loop of its first use."""

    def __init__(
        self,
        run: Run,
        config: BatchingConfig,
        stats: InferenceStats | None = None,
        latency: LatencyModel | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run = run
        self._config = config
        self._stats = stats or InferenceStats()
        self._latency = latency or LatencyModel()
        self._clock = clock
        self._queue = RowQueue(config.max_queued_rows)
        self._next: asyncio.Handle | None = None
        self._long_run: asyncio.Future[tuple[Outputs | Exception, float]] | None = None
        self._long_run_ends_at = 0.0

    def admit(self, rows: int, within: float | None, priority: Priority) -> None:
        """Check that `rows` rows fit into the queue and can run `within` seconds (None: no deadline).

        Raises:
            QueueFullError: the queue has no capacity for them.
            DeadlineUnmeetableError: the queued rows take longer than `within`.
        """
        self._queue.check_capacity(rows)
        if within is None:
            return
        ahead = self._queue.rows_ahead(priority) + rows
        needed = self._latency.seconds(ahead) + self._long_run_seconds_left(ahead, priority)
        if needed > within:
            raise DeadlineUnmeetableError(
                f"{needed * 1000:.0f} ms of runs are queued, {max(within, 0) * 1000:.0f} ms are left"
            )

    def submit(
        self, rows: Matrix, within: float | None = None, priority: Priority = Priority.INTERACTIVE
    ) -> asyncio.Future[Outputs]:
        """Queue rows of shape (n, columns), n at most MAX_BATCH_ROWS, and return their outputs; raises like `admit`."""
        self.admit(len(rows), within, priority)
        return self._enqueue(rows, priority)

    def start(self, rows: Matrix, within: float | None, priority: Priority) -> asyncio.Future[Outputs]:
        """Queue any number of rows and return a future of their outputs; raises like `admit`, at once."""
        if len(rows) <= MAX_BATCH_ROWS:
            return self.submit(rows, within, priority)
        self.admit(len(rows), within, priority)
        reservation = self._queue.reserve(len(rows))
        parts = asyncio.get_running_loop().create_task(self._infer_in_batches(rows, priority, reservation))
        parts.add_done_callback(lambda _: reservation.release())
        return parts

    async def infer(self, rows: Matrix, within: float | None = None, priority: Priority | None = None) -> Outputs:
        """Run any number of rows, in batches between which other calls run; raises like `admit`."""
        return await self.start(rows, within, priority_of(len(rows)) if priority is None else priority)

    async def in_slices(self, rows: int, work: Callable[[slice], T]) -> list[T]:
        """Return what `work` returns for each slice of the rows of a large call; other calls run between slices."""
        return await self._config.sliced_work.run(rows, work)

    async def _infer_in_batches(self, rows: Matrix, priority: Priority, reservation: RowReservation) -> Outputs:
        chunks = []
        for at in range(0, len(rows), MAX_BATCH_ROWS):
            chunk = rows[at : at + MAX_BATCH_ROWS]
            reservation.consume(len(chunk))
            chunks.append(await self._enqueue(chunk, priority))
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    def _enqueue(self, rows: Matrix, priority: Priority) -> asyncio.Future[Outputs]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Outputs] = loop.create_future()
        self._queue.put(PendingRequest(rows=rows, result=result, queued_at=self._clock()), priority)
        if self._next is None:
            self._schedule(loop)
        elif isinstance(self._next, asyncio.TimerHandle) and self._queue.rows >= MAX_BATCH_ROWS:
            self._next.cancel()
            self._schedule(loop)
        return result

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        budget = self._config.max_queue_delay_seconds
        now = not budget or self._queue.rows >= MAX_BATCH_ROWS
        self._next = loop.call_soon(self._dispatch) if now else loop.call_later(budget, self._dispatch)

    def _dispatch(self) -> None:
        self._next = None
        loop = asyncio.get_running_loop()
        for priority in _PRIORITIES:
            if batch := self._queue.take(priority, self._capacity(priority)):
                self._start(batch, loop)
        if any(self._queue.has_next(each, self._capacity(each)) for each in _PRIORITIES):
            self._schedule(loop)

    def _capacity(self, priority: Priority) -> int:
        """Return how many rows may run now; during a long run only short interactive ones."""
        if self._long_run is None:
            return MAX_BATCH_ROWS
        return 0 if priority is Priority.BULK else self._latency.rows_within(INLINE_SECONDS)

    def _long_run_seconds_left(self, rows: int, priority: Priority) -> float:
        """Return for how many more seconds the long run in the executor delays `rows` rows."""
        if self._long_run is None or rows <= self._capacity(priority):
            return 0.0
        return max(self._long_run_ends_at - self._clock(), 0.0)

    def _start(self, batch: list[PendingRequest], loop: asyncio.AbstractEventLoop) -> None:
        begin = self._clock()
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([each.rows for each in batch])
        self._count(batch, len(rows), begin)
        if self._long_run is not None or self._latency.seconds(len(rows)) <= INLINE_SECONDS:
            self._finish(batch, self._attempt(rows))
        else:
            self._long_run_ends_at = begin + self._latency.seconds(len(rows))
            self._long_run = loop.run_in_executor(self._config.executor, self._attempt, rows)
            self._long_run.add_done_callback(lambda done: self._on_long_run_done(batch, done, loop))

    def _attempt(self, rows: Matrix) -> tuple[Outputs | Exception, float]:
        begin = self._clock()
        try:
            return self._run(rows), self._clock() - begin
        except Exception as broken:  # noqa: BLE001  each caller of the batch receives the error
            return broken, self._clock() - begin

    def _on_long_run_done(
        self,
        batch: list[PendingRequest],
        done: "asyncio.Future[tuple[Outputs | Exception, float]]",
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._long_run = None
        if not done.cancelled():
            self._finish(batch, done.result())
        if self._queue.rows and self._next is None:
            self._schedule(loop)

    def _finish(self, batch: list[PendingRequest], attempt: tuple[Outputs | Exception, float]) -> None:
        ran, seconds = attempt
        begin, at = self._clock(), 0
        for each in batch:
            end = at + len(each.rows)
            if not each.is_cancelled:
                if isinstance(ran, Exception):
                    each.result.set_exception(ran)
                else:
                    each.result.set_result(ran if len(batch) == 1 else [part[at:end] for part in ran])
            at = end
        self._latency.update(TimedRun(rows=at, seconds=seconds))
        self._stats.compute_infer_ns += int(len(batch) * seconds * _NANOSECONDS)
        self._stats.compute_output_ns += int(len(batch) * (self._clock() - begin) * _NANOSECONDS)

    def _count(self, batch: list[PendingRequest], rows: int, begin: float) -> None:
        stats, calls = self._stats, len(batch)
        stats.inference_count += rows
        stats.execution_count += 1
        stats.batched_calls += calls
        stats.queue_ns += int((calls * begin - sum([each.queued_at for each in batch])) * _NANOSECONDS)
        stats.compute_input_ns += int(calls * (self._clock() - begin) * _NANOSECONDS)
