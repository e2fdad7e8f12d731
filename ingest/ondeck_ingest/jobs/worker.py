"""The worker: puts what is due into the queue, and takes jobs out of it, beside any number of others."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from pgqueuer import QueueManager
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.jobs.handler import JobHandler, pause_after
from ondeck_ingest.jobs.queue import CHANNEL, REGISTER, queries_on
from ondeck_ingest.jobs.scheduler import Scheduler
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.register.refresh import RegisterRefresher
from ondeck_ingest.sources.base import CircuitOpenError, of_day
from ondeck_ingest.sources.circuit_breaker import CircuitBreaker, CircuitState
from ondeck_runtime.tasks import wait_first
from ondeck_store.copy import driver_of
from ondeck_store.ingest.ledger import SourceState, record_source

AT_ONCE: Final = 2  # one is fetched while another is stored
LONGEST_WAIT: Final = timedelta(seconds=5)  # the queue tells of new jobs, not of those that come back
_A_MOMENT: Final = 0.05


@dataclass(kw_only=True)
class IngestWorker:
    """Takes days as long as the database holds; `silence` is after how long without a sign others take its days."""

    engine: AsyncEngine
    taker: Ingestor
    breaker: CircuitBreaker
    refresher: RegisterRefresher
    schedule: Scheduler
    attempts: int
    silence: timedelta
    poll_seconds: float
    pause_after: Callable[[int], timedelta] = field(default_factory=lambda: pause_after)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _recorded: CircuitState | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; raises whatever the database raises when it is lost."""
        tasks = [asyncio.create_task(each) for each in (self._take_jobs(), self._follow_calendar())]
        await wait_first(stop, *tasks)
        self._ending.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for failed in ended:
            if isinstance(failed, Exception):
                raise failed

    async def _take_jobs(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            manager = QueueManager(queries_on(await driver_of(connection)), CHANNEL)
            manager.shutdown = self._ending
            manager.entrypoint(self.taker.source.name, on_failure="hold")(self._handler("day", self._take).handle)
            manager.entrypoint(REGISTER, on_failure="hold")(self._handler("register", self._refresh).handle)
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
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self.poll_seconds)

    def _handler(self, thing: str, work: Callable[[date], Coroutine[Any, Any, object]]) -> JobHandler:
        return JobHandler(
            thing=thing, work=work, attempts=self.attempts, ending=self._ending, pause_after=self.pause_after
        )

    async def _take(self, day: date) -> LoadCounts:
        while True:
            await self._record_breaker()
            if (left := self.breaker.seconds_left()) > 0:
                await asyncio.sleep(left + _A_MOMENT)
            try:
                return await self.taker.take(of_day(day))
            except CircuitOpenError:
                await asyncio.sleep(_A_MOMENT)
            finally:
                await self._record_breaker()

    async def _refresh(self, _: date) -> str:
        taken = await self.refresher.refresh()
        return "; ".join(f"{kind}: {each}" for kind, each in taken.items())

    async def _record_breaker(self) -> None:
        told = self.breaker.state
        if told == self._recorded:
            return
        self._recorded = told
        async with self.engine.begin() as connection:
            state = SourceState(source=told.source, state=told.state, until=told.until, reason=told.reason)
            await record_source(connection, state)
