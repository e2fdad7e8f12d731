"""The runs behind the `ondeck ingest` commands that ingest in the foreground: files, days, replay, simulation."""

import asyncio
import json
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import OndeckError
from ondeck_core.statcast.leagues import LEFT_OUT
from ondeck_ingest.pipeline.ingest_day import INGEST_ERRORS, Ingestor
from ondeck_ingest.pipeline.load import MAX_FAULTY_SHARE, LoadCounts
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import CircuitOpenError, Source, SourceRequest, day_request, readable
from ondeck_ingest.sources.circuit_breaker import CircuitBreaker
from ondeck_ingest.sources.files import FileSource, ReplaySource
from ondeck_ingest.sources.savant import NAME, SavantSource
from ondeck_ingest.sources.simulator import SimulatedSource, play_half_innings
from ondeck_runtime.logging import printable
from ondeck_runtime.signals import run_until_stopped
from ondeck_store.database import Database
from ondeck_store.ingest.statcast_files import exports_in
from ondeck_store.migrations import open_migrated
from ondeck_store.pitches.queries import simulated_games

MAX_REASONS: Final = 10
_AFTER_FAILURE: Final = (
    "What was printed as ingested is stored, the rest is unchanged; run the same command again to ingest it."
)
MAX_UNITS: Final = 5
log = structlog.get_logger()


class IngestStoppedError(OndeckError):
    """SIGTERM or SIGINT stopped the run before its end."""


class PartialIngestError(OndeckError):
    """Some requests failed; the rest is stored."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run stores and reports: older downloads replace newer ones, the account as JSON."""

    replaces_newer: bool = False
    as_json: bool = False


DEFAULTS: Final = RunOptions()


async def ingest_files(
    settings: IngestSettings,
    paths: Sequence[Path],
    options: RunOptions = DEFAULTS,
    downloaded_at: datetime | None = None,
) -> LoadCounts:
    """Ingest files, and the exports in folders; `downloaded_at` is when they were downloaded, if that is known.

    Raises:
        PartialIngestError: some files failed, or none has a row.
    """
    requests = [SourceRequest(name=str(path)) for path in exports_in(paths)]
    total = await _run(settings, FileSource(downloaded_at=downloaded_at), requests, options)
    if not total.rows_in:
        raise PartialIngestError("the files have a header, but no rows; nothing was stored")
    return total


async def ingest_days(settings: IngestSettings, days: Sequence[date], options: RunOptions = DEFAULTS) -> LoadCounts:
    """Ingest days from Savant."""
    return await _run(settings, create_savant_source(settings), [day_request(day) for day in days], options)


async def replay_days(settings: IngestSettings, days: Sequence[date], options: RunOptions = DEFAULTS) -> LoadCounts:
    """Ingest days from the archived responses of Savant; no days means all archived ones."""
    chosen = days or [day for unit in archive.list_units(settings.home, NAME) for day in _parse_day(unit)]
    source = ReplaySource(home=settings.home, name=NAME)
    return await _run(settings, source, [day_request(day) for day in chosen], options)


async def simulate(settings: IngestSettings, seconds: float) -> None:
    """Simulate a game today, then wait for SIGTERM."""
    async with open_migrated(settings) as database:
        await run_until_stopped(_simulate(database, seconds))
        click.echo("ingest worker stopped", err=True)


def create_savant_source(settings: IngestSettings) -> SavantSource:
    """Make the configured Savant source."""
    return SavantSource(
        url=settings.savant_url,
        timeout=settings.savant_timeout,
        attempts=settings.savant_attempts,
        breaker=CircuitBreaker(NAME, failures=settings.breaker_failures, seconds=settings.breaker_reset_seconds),
    )


async def play_game(engine: AsyncEngine, day: date, seconds: float) -> LoadCounts:
    """Ingest the next simulated game of a day, one half inning after the other, within about so many seconds."""
    async with engine.connect() as connection:
        game = await simulated_games(connection, day)
    ingestor = Ingestor(engine=engine, source=SimulatedSource(game=game), home=Path())
    halves = play_half_innings(day, game)
    total = LoadCounts()
    for half in halves:
        counts = await ingestor.ingest(half.request)
        total += counts
        log.info("half_inning_ingested", simulated=True, day=str(day), inning=half.inning, rows=str(counts))
        await asyncio.sleep(seconds / len(halves))
    log.info("simulated_game_finished", simulated=True, day=str(day), rows=str(total))
    return total


async def ingest_each(
    requests: Sequence[SourceRequest],
    ingest: Callable[[SourceRequest], Awaitable[LoadCounts]],
    *,
    as_json: bool = False,
) -> LoadCounts:
    """Ingest one request after the other, print the outcome of each, and return the total, which is printed last.

    Raises:
        PartialIngestError: some requests failed; an open circuit or an unwritable archive fails all that remain.
    """
    total, failed = LoadCounts(), 0
    with _progress(len(requests), to_stderr=as_json) as report:
        for number, request in enumerate(requests):
            name = readable(request.name).rpartition("/")[2]
            try:
                counts = await ingest(request)
            except (CircuitOpenError, archive.ArchiveWriteError) as fatal:
                failed += len(requests) - number
                report(f"{name} and all after it failed: {fatal}")
                break
            except INGEST_ERRORS as refused:
                failed += 1
                report(f"{name} failed: {refused}")
            else:
                total += counts
                report(f"{name}: {counts}")
    click.echo(json.dumps({**asdict(total), "failed": failed}) if as_json else "\n".join(summarize(total)))
    if failed:
        rest = "the others are stored" if failed < len(requests) else "nothing was stored"
        raise PartialIngestError(f"{failed} of {len(requests)} failed, for the reasons above; {rest}")
    return total


def summarize(total: LoadCounts) -> Iterator[str]:
    """Yield the total, why rows and cells were left out, how to restore former rows, and where to look."""
    yield str(total)
    yield from (f"  {count} x {reason}" for reason, count in Counter(total.reasons).most_common(MAX_REASONS))
    if len(total.reasons) > MAX_REASONS:
        yield f"  and {len(total.reasons) - MAX_REASONS} more reasons (ondeck ingest quarantine list)"
    if total.unordered:
        yield f"  {total.unordered} changed rows may be from an older download than before (see --downloaded-at)"
    units = list(total.changed_by_unit)
    yield from (f"  to restore the former rows: ondeck ingest revert {shlex.quote(unit)}" for unit in units[:MAX_UNITS])
    if len(units) > MAX_UNITS:
        yield f"  and {len(units) - MAX_UNITS} more units with changed rows (ondeck ingest status --json)"
    for league, rows in total.other_leagues.items():
        yield f"  {rows} rows {LEFT_OUT[league]}: they are stored, but train nothing"
    for rows, problem in (
        (total.quarantined, "are quarantined; see: ondeck ingest quarantine list"),
        (total.unreadable_cells, "were stored without a cell; see: ondeck ingest quarantine cells"),
        (total.outdated, "are outdated and not stored"),
    ):
        if rows > total.rows_in * MAX_FAULTY_SHARE:
            yield f"more than {MAX_FAULTY_SHARE:.0%} of the rows {problem}"


@contextmanager
def _progress(count: int, *, to_stderr: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that prints a line: above a progress bar on a terminal, plain elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda line: click.echo(printable(line), err=to_stderr)
        return
    columns = (TextColumn("ingest"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("ingest", total=count)

        def report(line: str) -> None:
            progress.console.print(printable(line), markup=False, highlight=False)
            progress.advance(bar)

        yield report


async def _run(
    settings: IngestSettings, source: Source, requests: Sequence[SourceRequest], options: RunOptions
) -> LoadCounts:
    async with open_migrated(settings, _AFTER_FAILURE) as database:
        ingestor = Ingestor(
            engine=database.engine, source=source, home=settings.home, replaces_newer=options.replaces_newer
        )
        total = await run_until_stopped(ingest_each(requests, ingestor.ingest, as_json=options.as_json))
    if total is None:
        raise IngestStoppedError("stopped; what was printed as ingested is stored, the rest is unchanged")
    return total


async def _simulate(database: Database, seconds: float) -> None:
    click.echo(f"simulated: {await play_game(database.engine, datetime.now(UTC).date(), seconds)}")
    await asyncio.Event().wait()


def _parse_day(folder: str) -> list[date]:
    """Return the day that names an archive folder; none for a folder with another name."""
    try:
        return [datetime.strptime(folder, "%Y-%m-%d").date()]  # noqa: DTZ007  a day has no zone
    except ValueError:
        return []
