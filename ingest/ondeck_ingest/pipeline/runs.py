"""What the commands of `ondeck ingest` that take rows here and now do, once their words are understood."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from ondeck_core.errors import OndeckError
from ondeck_ingest.database import migrated
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.progress import take_each
from ondeck_ingest.pipeline.simulation import play
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import Source, SourceRequest, of_day
from ondeck_ingest.sources.circuit_breaker import CircuitBreaker
from ondeck_ingest.sources.files import FileSource
from ondeck_ingest.sources.replay import ReplaySource
from ondeck_ingest.sources.savant import NAME, SavantSource
from ondeck_runtime.signals import on_stop_signal
from ondeck_store.database import Database
from ondeck_store.ingest.statcast_files import exports_in


class IngestStoppedError(OndeckError):
    """A person or the system asked to stop before all was taken."""


async def take_files(settings: IngestSettings, paths: Sequence[Path]) -> None:
    """Take files and the exports in folders."""
    await _take_all(settings, FileSource(), [SourceRequest(name=str(path)) for path in exports_in(paths)])


async def take_days(settings: IngestSettings, days: Sequence[date]) -> None:
    """Take days from Savant, here and now."""
    await _take_all(settings, savant_of(settings), [of_day(day) for day in days])


async def replay_days(settings: IngestSettings, days: Sequence[date]) -> None:
    """Take days, or all there are, from what was kept of Savant."""
    wanted = days or [day for unit in archive.kept_units(settings.home, NAME) for day in _days_named(unit)]
    await _take_all(settings, ReplaySource(home=settings.home, name=NAME), [of_day(day) for day in wanted])


async def simulate(settings: IngestSettings, seconds: float) -> None:
    """Play a simulated day, and wait for SIGTERM."""
    async with migrated(settings) as database:
        await _until_stopped(_simulate(database, seconds))
        click.echo("ingest worker stopped", err=True)


def savant_of(settings: IngestSettings) -> SavantSource:
    """Make the network source that the settings describe."""
    return SavantSource(
        url=settings.savant_url,
        timeout=settings.savant_timeout,
        attempts=settings.savant_attempts,
        breaker=CircuitBreaker(NAME, failures=settings.breaker_failures, seconds=settings.breaker_reset_seconds),
    )


def _days_named(folder: str) -> list[date]:
    """Tell the day that a folder of the archive is of; somebody may have put others beside them."""
    try:
        return [datetime.strptime(folder, "%Y-%m-%d").date()]  # noqa: DTZ007  a day has no zone
    except ValueError:
        return []


async def _take_all(settings: IngestSettings, source: Source, wanted: Sequence[SourceRequest]) -> None:
    async with migrated(settings) as database:
        taker = Ingestor(engine=database.engine, source=source, home=settings.home)
        if not await _until_stopped(take_each(wanted, taker.take)):
            raise IngestStoppedError("stopped; what was told as taken is stored whole, the rest is as it was")


async def _simulate(database: Database, seconds: float) -> None:
    click.echo(f"simulated: {await play(database.engine, datetime.now(UTC).date(), seconds)}")
    await asyncio.Event().wait()


async def _until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do something until it is done or SIGTERM or SIGINT come; tells whether it is done."""
    task = asyncio.ensure_future(work)
    on_stop_signal(task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True
