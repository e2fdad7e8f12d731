"""`ondeck ingest`."""

import asyncio
import json
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from ondeck_core.statcast.row_checks import FIRST_SEASON, LAST_SEASON
from ondeck_ingest.cli.options import stored
from ondeck_ingest.cli.quarantine import quarantine
from ondeck_ingest.cli.render import as_data, in_lines
from ondeck_ingest.database import within
from ondeck_ingest.jobs import worker_process
from ondeck_ingest.jobs.status import status_of
from ondeck_ingest.pipeline import runs
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources.savant import NAME
from ondeck_runtime.settings import read_settings

_A_DAY: Final = timedelta(days=1)


class DayParam(click.DateTime):
    """A day of a season whose pitches can be stored."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401  click's signature
        """Read a day."""
        day: datetime = super().convert(value, param, ctx)
        if not FIRST_SEASON <= day.year <= LAST_SEASON:
            self.fail(f"{day:%Y-%m-%d} is not in the seasons from {FIRST_SEASON} to {LAST_SEASON}", param, ctx)
        return day


_DAY: Final = DayParam(["%Y-%m-%d"])


@click.group()
def ingest() -> None:
    """Take Statcast rows into PostgreSQL: from files, or day by day from Baseball Savant."""


@ingest.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@stored
def files(paths: tuple[Path, ...], **flags: object) -> None:
    """Take Savant exports (CSV, gzipped CSV, parquet); a folder means the exports in it.

    Each file is taken whole or not at all. Taking a file again changes nothing.
    """
    asyncio.run(runs.take_files(read_settings(IngestSettings, **flags), paths))


@ingest.command()
@click.argument("first", metavar="FIRST", type=_DAY)
@click.argument("last", metavar="[LAST]", type=_DAY, required=False)
@stored
def days(first: datetime, last: datetime | None, **flags: object) -> None:
    """Take the days from FIRST to LAST (default: FIRST alone) from Baseball Savant, through pybaseball."""
    asyncio.run(runs.take_days(read_settings(IngestSettings, **flags), _days_between(first, last or first)))


@ingest.command()
@click.argument("days", metavar="[DAY]...", nargs=-1, type=_DAY)
@stored
def replay(days: tuple[datetime, ...], **flags: object) -> None:
    """Take days again from the raw bytes that were kept of them (default: all), without the network."""
    asyncio.run(runs.replay_days(read_settings(IngestSettings, **flags), [day.date() for day in days]))


@ingest.command()
@click.option("--simulate", is_flag=True, help="Play a labelled simulated game day instead; touches no network.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long that takes.")
@stored
def worker(*, simulate: bool, seconds: float, **flags: object) -> None:
    """Keep the last days complete and work the backlog off, until SIGTERM; beside any number of other workers."""
    settings = read_settings(IngestSettings, **flags)
    asyncio.run(runs.simulate(settings, seconds) if simulate else worker_process.work(settings))


@ingest.command()
@click.argument("first", metavar="FIRST", type=_DAY)
@click.argument("last", metavar="LAST", type=_DAY)
@click.option("--refetch", is_flag=True, help="Also days that have been got; their rows are compared.")
@stored
def backfill(first: datetime, last: datetime, *, refetch: bool, **flags: object) -> None:
    """Put the days from FIRST to LAST into the queue that all workers share; asks nobody for anything."""
    settings = read_settings(IngestSettings, **flags)
    asyncio.run(worker_process.backfill(settings, _days_between(first, last), again=refetch))


@ingest.command()
@click.argument("days", metavar="[DAY]...", nargs=-1, type=_DAY)
@stored
def retry(days: tuple[datetime, ...], **flags: object) -> None:
    """Put days that were given up (default: all of them) into the queue again."""
    asyncio.run(worker_process.try_again(read_settings(IngestSettings, **flags), [day.date() for day in days]))


@ingest.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@stored
def status(*, as_json: bool, **flags: object) -> None:
    """Show how ingest stands; exit code 2 where somebody is needed: days were given up, or a source is left alone."""
    found = asyncio.run(within(read_settings(IngestSettings, **flags), lambda connection: status_of(connection, NAME)))
    click.echo(json.dumps(asdict(found), default=as_data, indent=2) if as_json else "\n".join(in_lines(found)))
    if found.calls_for_somebody:
        raise SystemExit(2)


ingest.add_command(quarantine)


def _days_between(first: datetime, last: datetime) -> list[date]:
    if last < first:
        raise click.BadParameter(f"{last:%Y-%m-%d} is before {first:%Y-%m-%d}", param_hint="LAST")
    return [first.date() + number * _A_DAY for number in range((last - first).days + 1)]
