"""The worker: puts the days that are due into the queue, and takes days out of it, beside any number of others."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import structlog
from pgqueuer import Job, QueueManager, RetryRequested
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import OndeckError
from ondeck_ingest.backlog import CHANNEL, queries_on
from ondeck_ingest.days import Taker
from ondeck_ingest.schedule import Schedule
from ondeck_ingest.sources.breaker import Breaker, BreakerState
from ondeck_ingest.sources.source import RestingError, of_day
from ondeck_ingest.taking import Taken
from ondeck_store.driver import driver_of
from ondeck_store.ledger import SourceState, record_source

AT_ONCE: Final = 2  # one is fetched while another is stored
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=6)
LONGEST_WAIT: Final = timedelta(seconds=5)  # the queue tells of new days, not of those that come back
GRACE_SECONDS: Final = 8.0
_A_MOMENT: Final = 0.05

log = structlog.get_logger()


class DayGivenUpError(OndeckError):
    """A day failed too often; it waits for `ondeck ingest retry`, or for the next daily look at the calendar."""


@dataclass(kw_only=True)
class Worker:
    """Takes days as long as the database holds; `silence` is after how long without a sign others take its days."""

    engine: AsyncEngine
    taker: Taker
    breaker: Breaker
    schedule: Schedule
    attempts: int
    silence: timedelta
    poll_seconds: float
    pause_after: Callable[[int], timedelta] = field(default_factory=lambda: pause_after)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _recorded: BreakerState | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; raises whatever the database raises when it is lost.

        A day is never cancelled, since that would take it out of the queue: it ends, or goes back.
        """
        tasks = [asyncio.create_task(each) for each in (self._take_days(), self._follow_calendar(), stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._ending.set()
        tasks[-1].cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for failed in ended:
            if isinstance(failed, Exception):
                raise failed

    async def _take_days(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            manager = QueueManager(queries_on(await driver_of(connection)), CHANNEL)
            manager.shutdown = self._ending
            manager.entrypoint(self.taker.source.name, on_failure="hold")(self._handle)
            await manager.run(
                dequeue_timeout=min(LONGEST_WAIT, self.silence),
                batch_size=1,
                max_concurrent_tasks=AT_ONCE,
                shutdown_on_listener_failure=True,
                heartbeat_timeout=self.silence,
            )

    async def _follow_calendar(self) -> None:
        while not self._ending.is_set():
            await self.schedule.look()
            await _first_of(asyncio.sleep(self.poll_seconds), self._ending.wait())

    async def _handle(self, job: Job) -> None:
        day = date.fromisoformat((job.payload or b"").decode())
        work = asyncio.create_task(self._take(day))
        await _first_of(asyncio.wait({work}), self._ending.wait())
        if not work.done():
            await asyncio.wait({work}, timeout=GRACE_SECONDS)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise RetryRequested(reason="the worker stops")
        self._conclude(job, day, work)

    async def _take(self, day: date) -> Taken:
        while True:
            await self._record_breaker()
            if (left := self.breaker.seconds_left()) > 0:
                await asyncio.sleep(left + _A_MOMENT)
            try:
                return await self.taker.take(of_day(day))
            except RestingError:
                await asyncio.sleep(_A_MOMENT)
            finally:
                await self._record_breaker()

    def _conclude(self, job: Job, day: date, work: "asyncio.Task[Taken]") -> None:
        failed = work.exception()
        if failed is None:
            log.info("day taken", day=str(day), rows=str(work.result()))
            return
        tries, reason = job.attempts + 1, in_words(failed)
        if tries >= self.attempts:
            log.error("day given up", day=str(day), attempts=tries, reason=reason)
            raise DayGivenUpError(reason) from failed
        pause = self.pause_after(tries)
        next_try = (datetime.now(UTC) + pause).isoformat(timespec="seconds")
        log.warning("day not taken", day=str(day), attempt=tries, reason=reason, next_try=next_try)
        raise RetryRequested(delay=pause, reason=reason) from failed

    async def _record_breaker(self) -> None:
        told = self.breaker.state
        if told == self._recorded:
            return
        self._recorded = told
        async with self.engine.begin() as connection:
            state = SourceState(source=told.source, state=told.state, until=told.until, reason=told.reason)
            await record_source(connection, state)


def pause_after(failures: int) -> timedelta:
    """Tell how long to leave a day alone that failed so many times in a row: a minute, doubled, six hours at most."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(failures - 1, 20)))


def in_words(failed: BaseException) -> str:
    """Say what failed in a line: what Ondeck refuses speaks for itself, all else is named."""
    line = next(iter(str(failed).splitlines()), "")
    return line if isinstance(failed, OndeckError) else f"{type(failed).__name__}: {line}"


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(each) for each in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
