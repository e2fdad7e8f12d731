"""What the commands of `ondeck ingest` that share work do: run a worker, fill the queue, try again."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

import click
import structlog
from pgqueuer.errors import FailingListenerError

from ondeck_ingest.database import migrated
from ondeck_ingest.jobs.calendar import in_season
from ondeck_ingest.jobs.handler import in_words
from ondeck_ingest.jobs.queue import BACKFILL, enqueue, retry
from ondeck_ingest.jobs.scheduler import Scheduler
from ondeck_ingest.jobs.worker import IngestWorker
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.runs import savant_of
from ondeck_ingest.register.refresh import refresher_of
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources.savant import NAME, SavantSource
from ondeck_runtime.signals import stop_event
from ondeck_store.database import LOST, Database
from ondeck_store.ingest.ledger import days_done

REOPEN_SECONDS: Final = 2.0
log = structlog.get_logger()


async def work(settings: IngestSettings) -> None:
    """Run the worker until SIGTERM. A database that was reached and is lost is opened again, until it can be."""
    stop, source, reached = stop_event(), savant_of(settings), False
    while not stop.is_set():
        try:
            async with migrated(settings) as database:
                reached = True
                await _worker(settings, database, source).run(stop)
        except (*LOST, FailingListenerError) as lost:
            if not reached:
                raise
            log.warning("database lost", reason=in_words(lost), next_try_in=f"{REOPEN_SECONDS:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REOPEN_SECONDS)
    click.echo("ingest worker stopped", err=True)


async def backfill(settings: IngestSettings, days: Sequence[date], *, again: bool) -> None:
    """Put days in season into the queue, without those that have been got unless they are wanted `again`."""
    wanted = {day for day in days if in_season(day)}
    async with migrated(settings) as database, database.engine.begin() as connection:
        got = wanted & await days_done(connection, NAME, days[0], days[-1])
        added = await enqueue(connection, NAME, wanted if again else wanted - got, BACKFILL)
    click.echo(f"{len(wanted)} days in season, {len(got)} got before: {added} put into the queue")


async def try_again(settings: IngestSettings, days: Sequence[date]) -> None:
    """Put days that were given up into the queue again; no days means all."""
    async with migrated(settings) as database, database.engine.begin() as connection:
        revived = await retry(connection, None, days or None)
    click.echo(f"{len(revived)} days put into the queue again")


def _worker(settings: IngestSettings, database: Database, source: SavantSource) -> IngestWorker:
    return IngestWorker(
        engine=database.engine,
        taker=Ingestor(engine=database.engine, source=source, home=settings.home),
        breaker=source.breaker,
        refresher=refresher_of(settings, database.engine),
        schedule=Scheduler(
            engine=database.engine,
            source=NAME,
            lookback_days=settings.lookback_days,
            refetch_days=settings.refetch_days,
        ),
        attempts=settings.job_attempts,
        silence=timedelta(seconds=settings.heartbeat_timeout_seconds),
        poll_seconds=settings.schedule_interval_seconds,
    )
