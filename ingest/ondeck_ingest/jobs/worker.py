"""The ingest worker: enqueues due days and runs jobs of the queue, beside any number of other workers."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

import click
import structlog
from pgqueuer import QueueManager
from pgqueuer.errors import FailingListenerError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.jobs.handler import JobHandler, describe_error, pause_after
from ondeck_ingest.jobs.metrics import SAMPLE_SECONDS, IngestMetrics, admin_port
from ondeck_ingest.jobs.queue import CHANNEL, REGISTER, create_queries
from ondeck_ingest.jobs.scheduler import Scheduler
from ondeck_ingest.pipeline.foreground_ingest import create_savant_source
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.register.chadwick import RegisterRefresher, create_refresher
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources.base import CircuitOpenError, day_request
from ondeck_ingest.sources.circuit_breaker import CircuitBreaker, CircuitState
from ondeck_ingest.sources.savant import NAME, SavantSource
from ondeck_runtime.correlation import CURRENT_WORK
from ondeck_runtime.logging import follow_level_file, level_file
from ondeck_runtime.signals import stop_event
from ondeck_runtime.tasks import wait_first
from ondeck_runtime.tracing import start_tracing, stop_tracing
from ondeck_store.database import DATABASE_ERRORS, Database, asyncpg_connection
from ondeck_store.ingest.ledger import SourceState, record_source
from ondeck_store.migrations import open_migrated

CONCURRENT_JOBS: Final = 2  # one fetches while the other loads
MAX_DEQUEUE_WAIT: Final = timedelta(seconds=5)  # the queue notifies of new jobs, not of retried ones
REOPEN_SECONDS: Final = 2.0
_SHORT_PAUSE: Final = 0.05

log = structlog.get_logger()


@dataclass(kw_only=True)
class IngestWorker:
    """Runs jobs until it is stopped or the database is lost.

    After `heartbeat_timeout` without a heartbeat, other workers take over its jobs.
    """

    engine: AsyncEngine
    ingestor: Ingestor
    breaker: CircuitBreaker
    refresher: RegisterRefresher
    scheduler: Scheduler
    attempts: int
    heartbeat_timeout: timedelta
    poll_seconds: float
    metrics: IngestMetrics = field(default_factory=IngestMetrics)
    pause_after: Callable[[int], timedelta] = field(default_factory=lambda: pause_after)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _recorded: CircuitState | None = None

    def __post_init__(self) -> None:
        self.ingestor = replace(self.ingestor, on_request=self.metrics.observe_request)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; raises the error of a lost database."""
        self.metrics.watch(self.engine, self.breaker)
        spawn = self.metrics.tasks.spawn
        tasks = [spawn("jobs", self._run_jobs()), spawn("scheduler", self._run_scheduler())]
        async with self.metrics.tasks.restarting(database_samples=self._sample_database):
            await wait_first(stop, *tasks)
            self._stopping.set()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for failed in ended:
            if isinstance(failed, Exception):
                raise failed

    async def _run_jobs(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            manager = QueueManager(create_queries(await asyncpg_connection(connection)), CHANNEL)
            manager.shutdown = self._stopping
            manager.entrypoint(self.ingestor.source.name, on_failure="hold")(self._handler("day", self._ingest).handle)
            manager.entrypoint(REGISTER, on_failure="hold")(self._handler("register", self._refresh).handle)
            await manager.run(
                dequeue_timeout=min(MAX_DEQUEUE_WAIT, self.heartbeat_timeout),
                batch_size=1,
                max_concurrent_tasks=CONCURRENT_JOBS,
                shutdown_on_listener_failure=True,
                heartbeat_timeout=self.heartbeat_timeout,
            )

    async def _run_scheduler(self) -> None:
        while not self._stopping.is_set():
            await self.scheduler.enqueue_due()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.poll_seconds)

    async def _sample_database(self) -> None:
        """Sample queue, quarantine and ledger, until cancelled."""
        scheduler = self.scheduler
        while True:
            async with self.engine.connect() as connection:
                await self.metrics.sample_database(connection, scheduler.source, scheduler.lookback_days)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _handler(self, kind: str, work: Callable[[date], Coroutine[Any, Any, object]]) -> JobHandler:
        return JobHandler(
            kind=kind,
            work=work,
            attempts=self.attempts,
            stopping=self._stopping,
            pause_after=self.pause_after,
            count=self.metrics.count_job,
        )

    async def _ingest(self, day: date) -> LoadCounts:
        while True:
            await self._record_breaker()
            if (left := self.breaker.seconds_left()) > 0:
                await asyncio.sleep(left + _SHORT_PAUSE)
            try:
                counts = await self.ingestor.ingest(day_request(day))
                self.metrics.count_rows(counts)
                return counts  # noqa: TRY300  the loop ends here
            except CircuitOpenError:
                await asyncio.sleep(_SHORT_PAUSE)
            finally:
                await self._record_breaker()

    async def _refresh(self, _: date) -> str:
        counts = await self.refresher.refresh()
        return "; ".join(f"{kind}: {each}" for kind, each in counts.items())

    async def _record_breaker(self) -> None:
        current = self.breaker.state
        if current == self._recorded:
            return
        self._recorded = current
        async with self.engine.begin() as connection:
            state = SourceState(source=current.source, state=current.state, until=current.until, reason=current.reason)
            await record_source(connection, state)


async def run_worker(settings: IngestSettings) -> None:
    """Run the worker until SIGTERM; a database that is lost later is opened again until that succeeds."""
    CURRENT_WORK.set(None)  # each job has an id of its own
    stop, metrics = stop_event(), IngestMetrics()
    follow_level = partial(follow_level_file, level_file(settings.home, "ingest"))
    async with admin_port(settings.ingest_admin_port, metrics), metrics.tasks.restarting(log_level=follow_level):
        start_tracing(settings.otlp_endpoint, "ingest")
        await _run_until_stopped(settings, metrics, stop)
        await asyncio.to_thread(stop_tracing)
    click.echo("ingest worker stopped", err=True)


async def _run_until_stopped(settings: IngestSettings, metrics: IngestMetrics, stop: asyncio.Event) -> None:
    source, was_reached = create_savant_source(settings), False
    while not stop.is_set():
        try:
            async with open_migrated(settings) as database:
                was_reached, metrics.database_fault = True, ""
                await _create_worker(settings, database, source, metrics).run(stop)
        except (*DATABASE_ERRORS, FailingListenerError) as lost:
            if not was_reached:
                raise
            metrics.database_fault = describe_error(lost)
            log.warning("database_lost", reason=describe_error(lost), next_try_in=f"{REOPEN_SECONDS:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REOPEN_SECONDS)


def _create_worker(
    settings: IngestSettings, database: Database, source: SavantSource, metrics: IngestMetrics
) -> IngestWorker:
    return IngestWorker(
        engine=database.engine,
        ingestor=Ingestor(engine=database.engine, source=source, home=settings.home),
        metrics=metrics,
        breaker=source.breaker,
        refresher=create_refresher(settings, database.engine),
        scheduler=Scheduler(
            engine=database.engine,
            source=NAME,
            lookback_days=settings.lookback_days,
            refetch_days=settings.refetch_days,
        ),
        attempts=settings.job_attempts,
        heartbeat_timeout=timedelta(seconds=settings.heartbeat_timeout_seconds),
        poll_seconds=settings.schedule_interval_seconds,
    )
