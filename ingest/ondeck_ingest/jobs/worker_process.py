"""The runs behind the `ondeck ingest` commands that use the queue: worker, backfill, retry."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

import click
import structlog
from pgqueuer.errors import FailingListenerError

from ondeck_ingest.database import migrated
from ondeck_ingest.jobs.handler import describe_error
from ondeck_ingest.jobs.queue import BACKFILL_PRIORITY, enqueue, requeue_dead
from ondeck_ingest.jobs.scheduler import Scheduler, is_in_season
from ondeck_ingest.jobs.worker import IngestWorker
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.runs import create_savant_source
from ondeck_ingest.register.chadwick import create_refresher
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources.savant import NAME, SavantSource
from ondeck_runtime.signals import stop_event
from ondeck_store.database import DATABASE_ERRORS, Database
from ondeck_store.ingest.ledger import days_done

REOPEN_SECONDS: Final = 2.0
log = structlog.get_logger()


async def work(settings: IngestSettings) -> None:
    """Run the worker until SIGTERM; a database that is lost later is opened again until that succeeds."""
    stop, source, was_reached = stop_event(), create_savant_source(settings), False
    while not stop.is_set():
        try:
            async with migrated(settings) as database:
                was_reached = True
                await _worker(settings, database, source).run(stop)
        except (*DATABASE_ERRORS, FailingListenerError) as lost:
            if not was_reached:
                raise
            log.warning("database_lost", reason=describe_error(lost), next_try_in=f"{REOPEN_SECONDS:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REOPEN_SECONDS)
    click.echo("ingest worker stopped", err=True)


async def backfill(settings: IngestSettings, days: Sequence[date], *, refetch: bool) -> None:
    """Enqueue the days that are in season and not ingested yet; with `refetch`, ingested ones too."""
    in_season = {day for day in days if is_in_season(day)}
    async with migrated(settings) as database, database.engine.begin() as connection:
        ingested = in_season & await days_done(connection, NAME, days[0], days[-1])
        added = await enqueue(connection, NAME, in_season if refetch else in_season - ingested, BACKFILL_PRIORITY)
    click.echo(f"{len(in_season)} days in season, {len(ingested)} already ingested: {added} enqueued")


async def retry(settings: IngestSettings, days: Sequence[date]) -> None:
    """Requeue the dead jobs of days; no days means all."""
    async with migrated(settings) as database, database.engine.begin() as connection:
        requeued = await requeue_dead(connection, None, days or None)
    click.echo(f"{len(requeued)} days enqueued again")


def _worker(settings: IngestSettings, database: Database, source: SavantSource) -> IngestWorker:
    return IngestWorker(
        engine=database.engine,
        ingestor=Ingestor(engine=database.engine, source=source, home=settings.home),
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
