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

ROWS_A_RUN: Final = 256  # a run of so many takes a few milliseconds
INTERACTIVE_ROWS: Final = 32  # a call of more rows is bulk, unless its caller says otherwise
INLINE_SECONDS: Final = (
    0.004  # a longer run leaves the loop to others; `benchmarks/thread_offload.py` measures what that costs
)
_NANOSECONDS: Final = 1e9
_IN_ORDER: Final = tuple(Priority)

Run: TypeAlias = Callable[[Matrix], Outputs]


@dataclass(frozen=True, kw_only=True)
class BatchingConfig:
    """How the rows of every version are batched; `budget_seconds` may be waited for company."""

    max_queued_rows: int
    budget_seconds: float
    long_runs: Executor


def priority_of(rows: int) -> Priority:
    """Tell who goes first if nobody says."""
    return Priority.INTERACTIVE if rows <= INTERACTIVE_ROWS else Priority.BULK


class Batcher:
    """Shares the runs of one graph among its callers, on the event loop that it is used on."""

    def __init__(
        self,
        run: Run,
        manners: BatchingConfig,
        tally: InferenceStats | None = None,
        pace: LatencyModel | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run = run
        self._manners = manners
        self._tally = tally or InferenceStats()
        self._pace = pace or LatencyModel()
        self._clock = clock
        self._waiting = RowQueue(manners.max_queued_rows)
        self._next: asyncio.Handle | None = None
        self._away: asyncio.Future[tuple[Outputs | Exception, float]] | None = None
        self._back_at = 0.0

    def admit(self, rows: int, within: float | None, priority: Priority) -> None:
        """Refuse rows that cannot be answered `within` so many seconds, or for which there is no room.

        Raises:
            QueueFullError: too many rows wait already.
            TooLateError: those that wait take longer than that.
        """
        self._waiting.check_room(rows)
        if within is None:
            return
        ahead = self._waiting.ahead_of(priority) + rows
        needed = self._pace.seconds(ahead) + self._until_back(ahead, priority)
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
        if len(rows) <= ROWS_A_RUN:
            return self.submit(rows, within, priority)
        self.admit(len(rows), within, priority)
        promise = self._waiting.promise(len(rows))
        parts = asyncio.get_running_loop().create_task(self._in_parts(rows, priority, promise))
        parts.add_done_callback(lambda _: promise.end())
        return parts

    async def answer(self, rows: Matrix, within: float | None = None, priority: Priority | None = None) -> Outputs:
        """Have any number of rows run, a run at a time, so that others get their turn in between; raises as `admit`."""
        return await self.start(rows, within, priority_of(len(rows)) if priority is None else priority)

    async def _in_parts(self, rows: Matrix, priority: Priority, promise: RowReservation) -> Outputs:
        chunks = []
        for at in range(0, len(rows), ROWS_A_RUN):
            chunk = rows[at : at + ROWS_A_RUN]
            promise.keep(len(chunk))
            chunks.append(await self._enqueue(chunk, priority))
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    def _enqueue(self, rows: Matrix, priority: Priority) -> asyncio.Future[Outputs]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outputs] = loop.create_future()
        self._waiting.put(PendingRequest(rows=rows, answer=answer, since=self._clock()), priority)
        if self._next is None:
            self._schedule(loop)
        elif isinstance(self._next, asyncio.TimerHandle) and self._waiting.rows >= ROWS_A_RUN:
            self._next.cancel()
            self._schedule(loop)
        return answer

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        budget = self._manners.budget_seconds
        now = not budget or self._waiting.rows >= ROWS_A_RUN
        self._next = loop.call_soon(self._turn) if now else loop.call_later(budget, self._turn)

    def _turn(self) -> None:
        self._next = None
        loop = asyncio.get_running_loop()
        for priority in _IN_ORDER:
            if batch := self._waiting.take(priority, self._room(priority)):
                self._start(batch, loop)
        if any(self._waiting.next_fits(each, self._room(each)) for each in _IN_ORDER):
            self._schedule(loop)

    def _room(self, priority: Priority) -> int:
        """Tell how many rows may run now; beside a long run, only what is short, and nothing of bulk."""
        if self._away is None:
            return ROWS_A_RUN
        return 0 if priority is Priority.BULK else self._pace.rows_within(INLINE_SECONDS)

    def _until_back(self, rows: int, priority: Priority) -> float:
        """Tell how many seconds a long run that is away keeps so many rows from running."""
        if self._away is None or rows <= self._room(priority):
            return 0.0
        return max(self._back_at - self._clock(), 0.0)

    def _start(self, batch: list[PendingRequest], loop: asyncio.AbstractEventLoop) -> None:
        begin = self._clock()
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([each.rows for each in batch])
        self._count(batch, len(rows), begin)
        if self._away is not None or self._pace.seconds(len(rows)) <= INLINE_SECONDS:
            self._finish(batch, self._attempt(rows))
        else:
            self._back_at = begin + self._pace.seconds(len(rows))
            self._away = loop.run_in_executor(self._manners.long_runs, self._attempt, rows)
            self._away.add_done_callback(lambda done: self._back(batch, done, loop))

    def _attempt(self, rows: Matrix) -> tuple[Outputs | Exception, float]:
        begin = self._clock()
        try:
            return self._run(rows), self._clock() - begin
        except Exception as broken:  # noqa: BLE001  whatever it is, each caller is told, and the loop goes on
            return broken, self._clock() - begin

    def _back(
        self,
        batch: list[PendingRequest],
        done: "asyncio.Future[tuple[Outputs | Exception, float]]",
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._away = None
        if not done.cancelled():
            self._finish(batch, done.result())
        if self._waiting.rows and self._next is None:
            self._schedule(loop)

    def _finish(self, batch: list[PendingRequest], attempt: tuple[Outputs | Exception, float]) -> None:
        ran, seconds = attempt
        begin, at = self._clock(), 0
        for each in batch:
            end = at + len(each.rows)
            if not each.given_up:
                if isinstance(ran, Exception):
                    each.answer.set_exception(ran)
                else:
                    each.answer.set_result(ran if len(batch) == 1 else [part[at:end] for part in ran])
            at = end
        self._pace.learn(TimedRun(rows=at, seconds=seconds))
        self._tally.compute_infer += int(len(batch) * seconds * _NANOSECONDS)
        self._tally.compute_output += int(len(batch) * (self._clock() - begin) * _NANOSECONDS)

    def _count(self, batch: list[PendingRequest], rows: int, begin: float) -> None:
        tally, calls = self._tally, len(batch)
        tally.rows += rows
        tally.runs += 1
        tally.ran += calls
        tally.queue += int((calls * begin - sum([each.since for each in batch])) * _NANOSECONDS)
        tally.compute_input += int(calls * (self._clock() - begin) * _NANOSECONDS)
