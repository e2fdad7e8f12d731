"""Concurrent callers share one run: whatever came in during one turn of the event loop goes through the graph at once.

Nobody waits for company, unless the operator allows some time for it: a run starts as soon as the loop comes round.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from ondeck_core.instances import Matrix
from ondeck_server.batching.latency_model import LatencyModel, TimedRun
from ondeck_server.batching.queue import (
    DeadlineUnmeetableError,
    Outputs,
    PendingRequest,
    Priority,
    RowQueue,
    RowReservation,
)
from ondeck_server.batching.stats import InferenceStats

MAX_BATCH_ROWS: Final = 256  # a run of so many takes a few milliseconds
INTERACTIVE_ROWS: Final = 32  # a call of more rows is bulk, unless its caller says otherwise
INLINE_SECONDS: Final = (
    0.004  # a longer run leaves the loop to others; `benchmarks/thread_offload.py` measures what that costs
)
_NANOSECONDS: Final = 1e9
_PRIORITIES: Final = tuple(Priority)

Run: TypeAlias = Callable[[Matrix], Outputs]


@dataclass(frozen=True, kw_only=True)
class BatchingConfig:
    """How the rows of every version are batched; `max_queue_delay_seconds` may be waited for company."""

    max_queued_rows: int
    max_queue_delay_seconds: float
    long_runs: Executor


def priority_of(rows: int) -> Priority:
    """Tell who goes first if nobody says."""
    return Priority.INTERACTIVE if rows <= INTERACTIVE_ROWS else Priority.BULK


class Batcher:
    """Shares the runs of one graph among its callers, on the event loop that it is used on."""

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
        """Refuse rows that cannot be answered `within` so many seconds, or for which there is no room.

        Raises:
            QueueFullError: too many rows wait already.
            DeadlineUnmeetableError: those that wait take longer than that.
        """
        self._queue.check_capacity(rows)
        if within is None:
            return
        ahead = self._queue.rows_ahead(priority) + rows
        needed = self._latency.seconds(ahead) + self._long_run_seconds_left(ahead, priority)
        if needed > within:
            raise DeadlineUnmeetableError(
                f"{needed * 1000:.0f} ms of runs are ahead, {max(within, 0) * 1000:.0f} ms are left"
            )

    def submit(
        self, rows: Matrix, within: float | None = None, priority: Priority = Priority.INTERACTIVE
    ) -> asyncio.Future[Outputs]:
        """Have rows of shape (n, columns) run, n at most ROWS_A_RUN; raises as `admit`, and then runs nothing."""
        self.admit(len(rows), within, priority)
        return self._enqueue(rows, priority)

    def start(self, rows: Matrix, within: float | None, priority: Priority) -> asyncio.Future[Outputs]:
        """Have any number of rows run without waiting for it; raises as `admit`, at once."""
        if len(rows) <= MAX_BATCH_ROWS:
            return self.submit(rows, within, priority)
        self.admit(len(rows), within, priority)
        reservation = self._queue.reserve(len(rows))
        parts = asyncio.get_running_loop().create_task(self._infer_in_batches(rows, priority, reservation))
        parts.add_done_callback(lambda _: reservation.release())
        return parts

    async def infer(self, rows: Matrix, within: float | None = None, priority: Priority | None = None) -> Outputs:
        """Have any number of rows run, a run at a time, so that others get their turn in between; raises as `admit`."""
        return await self.start(rows, within, priority_of(len(rows)) if priority is None else priority)

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
        """Tell how many rows may run now; beside a long run, only what is short, and nothing of bulk."""
        if self._long_run is None:
            return MAX_BATCH_ROWS
        return 0 if priority is Priority.BULK else self._latency.rows_within(INLINE_SECONDS)

    def _long_run_seconds_left(self, rows: int, priority: Priority) -> float:
        """Tell how many seconds a long run that is away keeps so many rows from running."""
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
            self._long_run = loop.run_in_executor(self._config.long_runs, self._attempt, rows)
            self._long_run.add_done_callback(lambda done: self._on_long_run_done(batch, done, loop))

    def _attempt(self, rows: Matrix) -> tuple[Outputs | Exception, float]:
        begin = self._clock()
        try:
            return self._run(rows), self._clock() - begin
        except Exception as broken:  # noqa: BLE001  whatever it is, each caller is told, and the loop goes on
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
        self._stats.compute_infer += int(len(batch) * seconds * _NANOSECONDS)
        self._stats.compute_output += int(len(batch) * (self._clock() - begin) * _NANOSECONDS)

    def _count(self, batch: list[PendingRequest], rows: int, begin: float) -> None:
        stats, calls = self._stats, len(batch)
        stats.rows += rows
        stats.runs += 1
        stats.ran += calls
        stats.queue += int((calls * begin - sum([each.queued_at for each in batch])) * _NANOSECONDS)
        stats.compute_input += int(calls * (self._clock() - begin) * _NANOSECONDS)
