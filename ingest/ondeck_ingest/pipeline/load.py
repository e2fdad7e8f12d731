"""Take one unit, a file or a day: read, set aside what does not fit, store, and write the ledger, all or nothing."""

import asyncio
from dataclasses import dataclass
from datetime import date

import polars as pl
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.parse import CorrectionRule, ParseResult, read_cells
from ondeck_store.ingest.correction_rules import standing_rules
from ondeck_store.ingest.ledger import LedgerEntry, record
from ondeck_store.ingest.quarantine import put_aside
from ondeck_store.ingest.unknown_columns import note_columns
from ondeck_store.pitches.upsert import UpsertCounts, upsert_pitches

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class IngestUnit:
    """What is taken at once: where it is from, what it is called, its day if it is one, the digest of its bytes."""

    source: str
    name: str
    day: date | None = None
    sha256: str | None = None
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class LoadCounts:
    """What became of the rows of a unit; none is lost."""

    rows_in: int = 0
    stored: int = 0
    unchanged: int = 0
    quarantined: int = 0

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        return LoadCounts(
            rows_in=self.rows_in + other.rows_in,
            stored=self.stored + other.stored,
            unchanged=self.unchanged + other.unchanged,
            quarantined=self.quarantined + other.quarantined,
        )

    def __str__(self) -> str:
        return (
            f"{self.rows_in} rows in: {self.stored} stored, {self.unchanged} unchanged, {self.quarantined} quarantined"
        )


async def take(engine: AsyncEngine, unit: IngestUnit, cells: pl.DataFrame | None) -> LoadCounts:
    """Take the cells of a unit in one transaction; None is a day of which there is nothing to read.

    Raises:
        SourceRefusedError: the cells are no Statcast export, or contradict what is stored; the database is as it was.
    """
    if cells is None:
        async with engine.begin() as connection:
            await record(connection, entry_of(unit, LoadCounts(), games=0))
        return LoadCounts()
    reading = await asyncio.to_thread(read_cells, cells, await rules_that_hold(engine))
    del cells  # a season's month of text weighs more than all that is made of it
    try:
        return await _store(engine, unit, reading)
    except IntegrityError as clash:
        raise SourceRefusedError(f"it contradicts what is stored: {clash.orig}") from clash


async def _store(engine: AsyncEngine, unit: IngestUnit, reading: ParseResult) -> LoadCounts:
    rows = as_simulated(reading.rows) if unit.simulated else reading.rows
    async with engine.begin() as connection:
        upserted = await upsert_pitches(connection, rows, simulated=unit.simulated, untold=reading.untold)
        await put_aside(connection, source=unit.source, unit=unit.name, reading=reading)
        taken = counted(reading, upserted)
        await record(connection, entry_of(unit, taken, games=rows["game_pk"].n_unique()))
        news = await note_columns(connection, reading.unknown, unit.source, unit.name)
    if news:
        log.warning("columns that no export has had before are kept", unit=unit.name, columns=news)
    return taken


def as_simulated(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn ids negative, so that no simulated game or man can ever be taken for a real one."""
    return rows.with_columns(-pl.col("game_pk", "batter", "pitcher", "on_1b", "on_2b", "on_3b"))


async def rules_that_hold(engine: AsyncEngine) -> list[CorrectionRule]:
    """Read the rules for rows that do not fit."""
    async with engine.connect() as connection:
        return await standing_rules(connection)


def counted(reading: ParseResult, upserted: UpsertCounts) -> LoadCounts:
    """Count what became of the rows that were read.

    Raises:
        ArithmeticError: one was lost or made up.
    """
    taken = LoadCounts(
        rows_in=reading.rows_in,
        stored=upserted.stored,
        unchanged=upserted.unchanged,
        quarantined=reading.misfits.height,
    )
    if taken.rows_in != taken.stored + taken.unchanged + taken.quarantined:
        raise ArithmeticError(f"rows were lost or made up: {taken}")
    return taken


def entry_of(unit: IngestUnit, taken: LoadCounts, games: int) -> LedgerEntry:
    """Say for the ledger what became of a unit."""
    return LedgerEntry(
        source=unit.source,
        unit=unit.name,
        state="done" if taken.rows_in else "empty",
        day=unit.day,
        rows_in=taken.rows_in,
        stored=taken.stored,
        unchanged=taken.unchanged,
        quarantined=taken.quarantined,
        games=games,
        raw_sha256=unit.sha256,
        simulated=unit.simulated,
    )
