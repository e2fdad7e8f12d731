"""The commands of `ondeck ingest`."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import structlog

from ondeck_core.statcast.schema import FIRST_SEASON, LAST_SEASON
from ondeck_ingest.cli.database_options import database_options
from ondeck_ingest.cli.quarantine import quarantine
from ondeck_ingest.cli.status import read_status, render_status, to_json
from ondeck_ingest.jobs.queue import BACKFILL_PRIORITY, enqueue, requeue_dead
from ondeck_ingest.jobs.scheduler import is_in_season
from ondeck_ingest.jobs.worker import run_worker
from ondeck_ingest.pipeline import foreground_ingest
from ondeck_ingest.pipeline.foreground_ingest import RunOptions
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources.savant import NAME
from ondeck_runtime.logging import printable
from ondeck_runtime.settings import read_settings
from ondeck_store.ingest.ledger import days_done
from ondeck_store.ingest.revert import revert_unit
from ondeck_store.migrations import open_migrated, run_in_transaction

_A_DAY: Final = timedelta(days=1)
log = structlog.get_logger()


class DayParam(click.DateTime):
    """A day of a season that the database has a partition for."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401  click's signature
        """Parse a day and check its season."""
        day: datetime = super().convert(value, param, ctx)
        if not FIRST_SEASON <= day.year <= LAST_SEASON:
            self.fail(f"{day:%Y-%m-%d} is not in the seasons from {FIRST_SEASON} to {LAST_SEASON}", param, ctx)
        return day


_DAY: Final = DayParam(["%Y-%m-%d"])


@click.group()
def ingest() -> None:
    """Ingest Statcast rows into PostgreSQL: from files, or day by day from Baseball Savant."""


_REPLACE_NEWER: Final = click.option(
    "--replace-newer", is_flag=True, help="Rows of an older download replace those of a newer one, too."
)
_AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print the account of all rows as JSON.")


@ingest.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--downloaded-at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="When the files were downloaded, in UTC; default: from the files.",
)
@_REPLACE_NEWER
@_AS_JSON
@database_options
def files(
    paths: tuple[Path, ...],
    downloaded_at: datetime | None,
    *,
    replace_newer: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Ingest Savant exports (CSV, gzipped CSV, parquet); of a folder, all exports in it.

    Each file is ingested in one transaction. Ingesting a file again changes nothing. Rows of an older download do not
    replace those of a newer one. The exit code is 2 if more than 1 % of the rows are quarantined, outdated or were
    stored without a cell, and 1 if a file has no valid row.
    """
    settings = read_settings(IngestSettings, **flags)
    options = RunOptions(replaces_newer=replace_newer, as_json=as_json)
    known = None if downloaded_at is None else downloaded_at.replace(tzinfo=UTC)
    _exit_if_incomplete(asyncio.run(foreground_ingest.ingest_files(settings, paths, options, known)))


@ingest.command()
@click.argument("first", metavar="FIRST", type=_DAY)
@click.argument("last", metavar="[LAST]", type=_DAY, required=False)
@_AS_JSON
@database_options
def days(first: datetime, last: datetime | None, *, as_json: bool, **flags: object) -> None:
    """Ingest the days from FIRST to LAST (default: only FIRST) from Baseball Savant, through pybaseball.

    SIGTERM stops it within two seconds, exit code 1: stored days stay, the others are unchanged.
    """
    settings, asked = read_settings(IngestSettings, **flags), _days_between(first, last or first)
    _exit_if_incomplete(asyncio.run(foreground_ingest.ingest_days(settings, asked, RunOptions(as_json=as_json))))


@ingest.command()
@click.argument("days", metavar="[DAY]...", nargs=-1, type=_DAY)
@_REPLACE_NEWER
@_AS_JSON
@database_options
def replay(days: tuple[datetime, ...], *, replace_newer: bool, as_json: bool, **flags: object) -> None:
    """Ingest days (default: all) again from their archived responses, without the network."""
    settings, asked = read_settings(IngestSettings, **flags), [day.date() for day in days]
    options = RunOptions(replaces_newer=replace_newer, as_json=as_json)
    _exit_if_incomplete(asyncio.run(foreground_ingest.replay_days(settings, asked, options)))


@ingest.command()
@click.argument("unit")
@database_options
def revert(unit: str, **flags: object) -> None:
    """Restore the rows as they were before the last load of UNIT, a day or a file.

    Changed rows get their former values back, and new rows are removed; rows that another load has changed since stay
    as they are. Each call reverts one load. UNIT is named as `ondeck ingest status` lists it; a file also by its name.
    """
    settings = read_settings(IngestSettings, **flags)
    done = asyncio.run(run_in_transaction(settings, lambda connection: revert_unit(connection, unit)))
    log.info("unit_reverted", **asdict(done))
    kept = f"; {done.kept} rows stay, as another load has changed them since" if done.kept else ""
    click.echo(printable(f"{done.unit}: {done.restored} rows restored, {done.removed} rows removed{kept}"))


@ingest.command()
@click.option("--simulate", is_flag=True, help="Simulate a game instead, without the network; its rows are labelled.")
@click.option(
    "--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="Duration of the simulated game."
)
@database_options
def worker(*, simulate: bool, seconds: float, **flags: object) -> None:
    """Ingest due and queued days until SIGTERM; any number of workers share the queue.

    SIGTERM ends it within two seconds, exit code 0: the days it was working on are in the queue again.
    """
    settings = read_settings(IngestSettings, **flags)
    asyncio.run(foreground_ingest.simulate(settings, seconds) if simulate else run_worker(settings))


@ingest.command()
@click.argument("first", metavar="FIRST", type=_DAY)
@click.argument("last", metavar="LAST", type=_DAY)
@click.option("--refetch", is_flag=True, help="Also fetch days that are already ingested, and update changed rows.")
@database_options
def backfill(first: datetime, last: datetime, *, refetch: bool, **flags: object) -> None:
    """Enqueue the days from FIRST to LAST for the workers; sends no request itself."""
    settings = read_settings(IngestSettings, **flags)
    asyncio.run(_backfill(settings, _days_between(first, last), refetch=refetch))


@ingest.command()
@click.argument("days", metavar="[DAY]...", nargs=-1, type=_DAY)
@database_options
def retry(days: tuple[datetime, ...], **flags: object) -> None:
    """Enqueue days whose job is dead (default: all of them) again."""
    asyncio.run(_requeue(read_settings(IngestSettings, **flags), [day.date() for day in days]))


@ingest.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@database_options
def status(*, as_json: bool, **flags: object) -> None:
    """Show the status of ingest; exit code 2 if a job is dead or the circuit of a source is open."""
    settings = read_settings(IngestSettings, **flags)
    found = asyncio.run(run_in_transaction(settings, lambda connection: read_status(connection, NAME)))
    click.echo(json.dumps(asdict(found), default=to_json, indent=2) if as_json else "\n".join(render_status(found)))
    if found.needs_attention:
        raise SystemExit(2)


ingest.add_command(quarantine)


async def _backfill(settings: IngestSettings, days: Sequence[date], *, refetch: bool) -> None:
    in_season = {day for day in days if is_in_season(day)}
    async with open_migrated(settings) as database, database.engine.begin() as connection:
        ingested = in_season & await days_done(connection, NAME, days[0], days[-1])
        added = await enqueue(connection, NAME, in_season if refetch else in_season - ingested, BACKFILL_PRIORITY)
    log.info("jobs_enqueued", added=added)
    click.echo(f"{len(in_season)} days in season, {len(ingested)} already ingested: {added} enqueued")


async def _requeue(settings: IngestSettings, days: Sequence[date]) -> None:
    async with open_migrated(settings) as database, database.engine.begin() as connection:
        requeued = await requeue_dead(connection, None, days or None)
    click.echo(f"{len(requeued)} days enqueued again")


def _exit_if_incomplete(counts: LoadCounts) -> None:
    if counts.needs_attention:
        raise SystemExit(2)


def _days_between(first: datetime, last: datetime) -> list[date]:
    if last < first:
        raise click.BadParameter(f"{last:%Y-%m-%d} is before {first:%Y-%m-%d}", param_hint="LAST")
    return [first.date() + number * _A_DAY for number in range((last - first).days + 1)]
