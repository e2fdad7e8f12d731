"""`ondeck ingest`."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ondeck_core.errors import OndeckError, SourceRefusedError
from ondeck_ingest.days import DayTaker, Refused
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.simulation import play
from ondeck_ingest.sources.content import cells_of
from ondeck_ingest.sources.savant import Savant
from ondeck_ingest.taking import Taken, Unit, take
from ondeck_ingest.worker import Worker
from ondeck_store.database import Database, open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings, read_settings

FILES: Final = "file"
ENDINGS: Final = (".csv", ".csv.gz", ".parquet")
_A_DAY: Final = timedelta(days=1)
_DAY: Final = click.DateTime(["%Y-%m-%d"])
_HOME: Final = click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
_URL: Final = click.option("--database-url", help="A PostgreSQL server (ONDECK_DATABASE_URL).")


class NotAllTakenError(OndeckError):
    """Some of what was asked for was refused; the rest is stored."""


@click.group()
def ingest() -> None:
    """Take Statcast rows into PostgreSQL: from files, or day by day from Baseball Savant."""


@ingest.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_HOME
@_URL
def files(paths: tuple[Path, ...], **flags: object) -> None:
    """Take Savant exports (CSV, gzipped CSV, parquet); a folder means the exports in it.

    Each file is taken whole or not at all. Taking a file again changes nothing.
    """
    asyncio.run(_files(read_settings(IngestSettings, **flags), _expanded(paths)))


@ingest.command()
@click.argument("first", type=_DAY)
@click.argument("last", type=_DAY, required=False)
@_HOME
@_URL
def days(first: datetime, last: datetime | None, **flags: object) -> None:
    """Take the days from FIRST to LAST (default: FIRST alone) from Baseball Savant, through pybaseball."""
    begin, end = first.date(), (last or first).date()
    if end < begin:
        raise click.BadParameter(f"{end} is before {begin}", param_hint="LAST")
    wanted = [begin + number * _A_DAY for number in range((end - begin).days + 1)]
    asyncio.run(_days(read_settings(IngestSettings, **flags), wanted))


@ingest.command()
@click.option("--simulate", is_flag=True, help="Play a labelled simulated game day instead; touches no network.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long that takes.")
@_HOME
@_URL
def worker(*, simulate: bool, seconds: float, **flags: object) -> None:
    """Keep the last days complete, following the calendar, until SIGTERM."""
    asyncio.run(_worker(read_settings(IngestSettings, **flags), seconds if simulate else None))


async def _files(settings: IngestSettings, paths: Sequence[Path]) -> None:
    async with _migrated(settings) as database:

        async def one(path: Path) -> Taken:
            content = await asyncio.to_thread(path.read_bytes)
            sha256 = hashlib.sha256(content).hexdigest()
            cells = await asyncio.to_thread(cells_of, content)
            return await take(
                database.engine, Unit(source=FILES, name=f"{path.name} {sha256[:12]}", sha256=sha256), cells
            )

        await _each(paths, lambda path: path.name, one, (SourceRefusedError,))


async def _days(settings: IngestSettings, wanted: Sequence[date]) -> None:
    async with _migrated(settings) as database:
        await _each(wanted, str, _day_taker(settings, database).take_day, Refused)


async def _worker(settings: IngestSettings, simulated_seconds: float | None) -> None:
    async with _migrated(settings) as database:
        taker = _day_taker(settings, database)
        running = Worker(
            engine=database.engine,
            take_day=taker.take_day,
            lookback_days=settings.lookback_days,
            poll_seconds=settings.poll_seconds,
        )
        work = running.run() if simulated_seconds is None else _simulate(database, simulated_seconds)
        await _until_stopped(work)


async def _simulate(database: Database, seconds: float) -> None:
    click.echo(f"simulated: {await play(database.engine, datetime.now(UTC).date(), seconds)}")
    await asyncio.Event().wait()


async def _until_stopped(work: Any) -> None:  # noqa: ANN401  any coroutine
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        click.echo("ingest worker stopped", err=True)


async def _each(
    wanted: Sequence[Any],
    called: Callable[[Any], str],
    one: Callable[[Any], Any],
    refusals: tuple[type[OndeckError], ...],
) -> None:
    """Take one after the other; what is refused is told at once and once more by the exit code."""
    total, refused = Taken(), 0
    with _telling(len(wanted)) as tell:
        for each in wanted:
            try:
                taken = await one(each)
            except refusals as refusal:
                refused += 1
                tell(f"{called(each)} refused: {refusal}")
            else:
                total += taken
                tell(f"{called(each)}: {taken}")
    click.echo(str(total))
    if refused:
        raise NotAllTakenError(f"{refused} of {len(wanted)} refused, for the reasons above; the others are stored")


@contextmanager
def _telling(count: int) -> Iterator[Callable[[str], None]]:
    """Show a progress bar where a person watches, plain lines where not."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield click.echo
        return
    columns = (TextColumn("ingest"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("ingest", total=count)

        def tell(line: str) -> None:
            progress.console.print(line, markup=False, highlight=False)
            progress.advance(bar)

        yield tell


@asynccontextmanager
async def _migrated(settings: StoreSettings) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        await migrate(database.engine)
        yield database


def _day_taker(settings: IngestSettings, database: Database) -> DayTaker:
    savant = Savant(url=settings.savant_url, timeout=settings.savant_timeout, attempts=settings.savant_attempts)
    return DayTaker(engine=database.engine, savant=savant, home=settings.home)


def _expanded(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(each for each in path.iterdir() if each.name.endswith(ENDINGS)) if path.is_dir() else [path]
        if not inside:
            raise SourceRefusedError(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
        found += inside
    return found
