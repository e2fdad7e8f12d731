"""Dynamic batching: requests that arrive during one turn of the event loop share one run of the graph.

A run starts on the next turn of the loop, unless the operator allows a queue delay to collect larger batches. Each turn
runs interactive rows first, then at most one slice of the rows of bulk calls.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import numpy as np

from ondeck_core.errors import RunTimeoutError
from ondeck_core.instances import Matrix
from ondeck_runtime.correlation import CURRENT_WORK, RUN_STARTED_AT
from ondeck_runtime.tracing import ACTIVE
from ondeck_server.batching.batch_metrics import BatchMetrics
from ondeck_server.batching.inference_stats import InferenceStats
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
BULK_RUN_SECONDS: Final = 0.02  # a slice of a bulk call is of at most `MAX_BATCH_ROWS` rows and about this run time
INLINE_LIMIT_SECONDS: Final = 0.25  # CPU time after which a run on the event loop is ended, to be repeated in a thread
_SUSPECT_SECONDS: Final = 60.0  # of a graph after a run was ended: its requests run one at a time, in a thread
_NANOSECONDS: Final = 1e9
_PRIORITIES: Final = tuple(Priority)
_CORRECTION_MEMORY: Final = 0.9  # weight of earlier runs in the correction of the latency model
_MAX_CORRECTION: Final = 20.0  # limits the effect of a single run that the machine delayed

Run: TypeAlias = Callable[[Matrix], Outputs]
Attempt: TypeAlias = tuple[Outputs | Exception, float, float]  # the seconds of it all, and those of the features
LimitedCall: TypeAlias = Callable[[Run, Matrix, float], Outputs]  # raises RunTimeoutError after so many seconds
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class BatchingConfig:
    """Batching of every version of a worker; a row may wait `max_queue_delay_seconds`.

    `executor` runs long batches, `suspect_executor` those of graphs of which a run was ended: these delay only each
    other. `call_limited` ends a run after `max_run_seconds` of CPU time.
    """

    max_queued_rows: int
    max_queued_bulk_rows: int
    max_queue_delay_seconds: float
    max_run_seconds: float
    executor: Executor
    suspect_executor: Executor
    call_limited: LimitedCall
    sliced_work: SlicedWork


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
    """Batches the rows of concurrent calls for one graph, on the event loop of its first use.

    `on_timeout` is called when a run of one request alone was ended because of its time.
    """

    def __init__(  # noqa: PLR0913  all but two have defaults
        self,
        run: Run,
        config: BatchingConfig,
        stats: InferenceStats | None = None,
        latency: LatencyModel | None = None,
        metrics: BatchMetrics | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        on_timeout: Callable[[], None] = lambda: None,
    ) -> None:
        self._run = run
        self._config = config
        self._stats = stats or InferenceStats()
        self._latency = latency or LatencyModel()
        self._metrics = metrics
        self._clock = clock
        self._on_timeout = on_timeout
        self._queue = RowQueue((config.max_queued_rows, config.max_queued_bulk_rows))
        self._next: asyncio.Handle | None = None
        self._no_call = Context()  # of runs, which belong to several calls; only one thread may be in a context
        self._long_run: asyncio.Future[Attempt] | None = None
        self._long_run_ends_at = 0.0
        self._order = _PRIORITIES
        self._suspect_until = 0.0  # by the clock; 0: no run was ended

    def admit(self, rows: int, within: float | None, priority: Priority) -> None:
        """Check that `rows` rows fit into the queue and can run `within` seconds (None: no deadline).

        Raises:
            QueueFullError: the queue has no capacity for them.
            DeadlineUnmeetableError: the queued rows take longer than `within`.
        """
        self._queue.check_capacity(rows, priority)
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
        """Queue any number of rows and return a future of their outputs; raises like `admit`, at once.

        A call of several slices is a bulk call at any priority.
        """
        if len(rows) <= INTERACTIVE_ROWS or len(rows) <= self._slice_rows():
            return self.submit(rows, within, priority)
        self.admit(len(rows), within, Priority.BULK)
        reservation = self._queue.reserve(len(rows))
        parts = asyncio.get_running_loop().create_task(self._infer_in_slices(rows, reservation))
        parts.add_done_callback(lambda _: reservation.release())
        return parts

    async def infer(self, rows: Matrix, within: float | None = None, priority: Priority | None = None) -> Outputs:
        """Run any number of rows, in batches between which other calls run; raises like `admit`."""
        return await self.start(rows, within, priority_of(len(rows)) if priority is None else priority)

    async def in_slices(self, rows: int, work: Callable[[slice], T]) -> list[T]:
        """Return what `work` returns for each slice of the rows of a large call; other calls run between slices."""
        return await self._config.sliced_work.run(rows, work)

    async def _infer_in_slices(self, rows: Matrix, reservation: RowReservation) -> Outputs:
        outputs: Outputs = []
        start = 0
        while start < len(rows):
            part = rows[start : start + self._slice_rows()]
            reservation.consume(len(part))
            found = await self._enqueue(part, Priority.BULK)
            outputs = outputs or [np.empty((len(rows), *each.shape[1:]), each.dtype) for each in found]
            for output, values in zip(outputs, found, strict=True):
                output[start : start + len(part)] = values
            start += len(part)
        return outputs

    def _slice_rows(self) -> int:
        """Return how many rows of a bulk call may run at once: an interactive call waits for their run."""
        fixed = self._latency.seconds(0)
        return min(max(self._latency.rows_within(max(BULK_RUN_SECONDS, 2 * fixed)), 1), MAX_BATCH_ROWS)

    def _enqueue(self, rows: Matrix, priority: Priority) -> asyncio.Future[Outputs]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Outputs] = loop.create_future()
        request = PendingRequest(rows=rows, result=result, queued_at=self._clock(), work=CURRENT_WORK.get())
        self._queue.put(request, priority)
        if self._next is None:
            self._schedule(loop)
        elif isinstance(self._next, asyncio.TimerHandle) and self._queue.rows >= MAX_BATCH_ROWS:
            self._next.cancel()
            self._schedule(loop)
        return result

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        budget = self._config.max_queue_delay_seconds
        now = not budget or self._queue.rows >= MAX_BATCH_ROWS
        if now:
            self._next = loop.call_soon(self._dispatch, context=self._no_call)
        else:
            self._next = loop.call_later(budget, self._dispatch, context=self._no_call)

    def _dispatch(self) -> None:
        self._next = None
        loop = asyncio.get_running_loop()
        order, self._order = self._order, _PRIORITIES
        for priority in order:
            if not self._queue.next_rows(priority):
                continue
            if batch := self._queue.take(priority, self._capacity(priority), is_alone=self._is_suspect):
                self._start(batch, priority, loop)
        if any(0 < self._queue.next_rows(each) <= self._capacity(each) for each in _PRIORITIES):
            self._schedule(loop)

    @property
    def _is_suspect(self) -> bool:
        return bool(self._suspect_until) and self._clock() < self._suspect_until

    def _capacity(self, priority: Priority) -> int:
        """Return how many rows may run now; during a long run only short interactive ones."""
        if self._long_run is None:
            is_bulk = priority is Priority.BULK
            return max(self._slice_rows(), self._queue.next_rows(priority)) if is_bulk else MAX_BATCH_ROWS
        if priority is Priority.BULK or self._is_suspect:
            return 0
        return self._latency.rows_within(INLINE_SECONDS)

    def _long_run_seconds_left(self, rows: int, priority: Priority) -> float:
        """Return for how many more seconds the long run in the executor delays `rows` rows."""
        if self._long_run is None or rows <= self._capacity(priority):
            return 0.0
        return max(self._long_run_ends_at - self._clock(), 0.0)

    def _start(self, batch: list[PendingRequest], priority: Priority, loop: asyncio.AbstractEventLoop) -> None:
        begin, limit = self._clock(), self._config.max_run_seconds
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([each.rows for each in batch])
        self._count(batch, len(rows), begin)
        is_short = self._long_run is not None or self._latency.seconds(len(rows)) <= INLINE_SECONDS
        if is_short and not self._is_suspect:
            outcome = self._attempt(rows, min(INLINE_LIMIT_SECONDS, limit))
            if isinstance(outcome[0], RunTimeoutError):
                self._repeat(batch, priority)
            else:
                self._finish(batch, outcome)
            return
        executor = self._config.suspect_executor if self._is_suspect else self._config.executor
        self._long_run_ends_at = begin + self._latency.seconds(len(rows))
        self._long_run = loop.run_in_executor(executor, self._attempt, rows, limit)
        self._long_run.add_done_callback(lambda done: self._on_long_run_done(batch, priority, done))
        self._order = _PRIORITIES[::-1] if priority is Priority.INTERACTIVE else _PRIORITIES  # none waits for two

    def _attempt(self, rows: Matrix, limit: float) -> Attempt:
        begin = self._clock()
        outputs: Outputs | Exception
        try:
            outputs = self._config.call_limited(self._run, rows, limit)
        except Exception as broken:  # noqa: BLE001  each caller of the batch receives the error
            outputs = broken
        return outputs, self._clock() - begin, max(RUN_STARTED_AT.get() - begin, 0.0)

    def _on_long_run_done(
        self,
        batch: list[PendingRequest],
        priority: Priority,
        done: "asyncio.Future[Attempt]",
    ) -> None:
        self._long_run = None
        if not done.cancelled():
            outcome = done.result()
            if isinstance(outcome[0], RunTimeoutError) and len(batch) > 1:
                self._repeat(batch, priority)
            else:
                self._finish(batch, outcome)
        if self._queue.rows and self._next is None:
            self._schedule(asyncio.get_running_loop())

    def _repeat(self, batch: list[PendingRequest], priority: Priority) -> None:
        """Repeat a run that was ended: each request alone in a thread, so that only one that takes too long fails."""
        self._suspect_until = self._clock() + _SUSPECT_SECONDS
        self._queue.put_back(batch, priority)

    def _finish(self, batch: list[PendingRequest], outcome: Attempt) -> None:
        ran, seconds, features_seconds = outcome
        begin, at = self._clock(), 0
        started_at = begin - seconds
        if ACTIVE:
            ACTIVE[0].record_batch(seconds, [each.work for each in batch])
        for each in batch:
            end = at + len(each.rows)
            if (work := each.work) is not None:
                work.queue_seconds += started_at - each.queued_at
                work.features_seconds += features_seconds
                work.run_seconds += seconds - features_seconds
            if not each.is_cancelled:
                if isinstance(ran, Exception):
                    each.result.set_exception(ran)
                else:
                    each.result.set_result(ran if len(batch) == 1 else [part[at:end] for part in ran])
            at = end
        if isinstance(ran, RunTimeoutError):
            self._suspect_until = self._clock() + _SUSPECT_SECONDS
            self._on_timeout()
            return
        self._latency.update(TimedRun(rows=at, seconds=seconds))
        if self._metrics is not None:
            self._metrics.run.observe(seconds)
            while self._metrics.feature_seconds:
                self._metrics.features.observe(self._metrics.feature_seconds.popleft())
        self._stats.compute_infer_ns += int(len(batch) * seconds * _NANOSECONDS)
        self._stats.compute_output_ns += int(len(batch) * (self._clock() - begin) * _NANOSECONDS)

    def _count(self, batch: list[PendingRequest], rows: int, begin: float) -> None:
        stats, calls = self._stats, len(batch)
        stats.inference_count += rows
        stats.execution_count += 1
        stats.batched_calls += calls
        stats.queue_ns += int((calls * begin - sum([each.queued_at for each in batch])) * _NANOSECONDS)
        stats.compute_input_ns += int(calls * (self._clock() - begin) * _NANOSECONDS)
        if self._metrics is not None:
            self._metrics.rows.observe(rows)
            for each in batch:
                self._metrics.queue.observe(begin - each.queued_at)
