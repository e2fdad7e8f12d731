"""Load one unit, a day or a file, in one transaction: parse, store, quarantine invalid rows, update the ledger."""

import asyncio
from dataclasses import dataclass
from datetime import date

import polars as pl
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.parse import CorrectionRule, ParseResult, parse_cells
from ondeck_store.ingest.ledger import LedgerEntry, record, record_columns
from ondeck_store.ingest.quarantine import active_rules, quarantine_rejected
from ondeck_store.pitches.upsert import UpsertCounts, upsert_pitches

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class IngestUnit:
    """What one transaction loads: its source, its name, its day if it is one, the SHA-256 of its bytes."""

    source: str
    name: str
    day: date | None = None
    sha256: str | None = None
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class LoadCounts:
    """The rows of a unit by outcome; rows_in is the sum of the others."""

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


async def load_unit(engine: AsyncEngine, unit: IngestUnit, cells: pl.DataFrame | None) -> LoadCounts:
    """Load the cells of a unit in one transaction; None is a day without data.

    Raises:
        SourceRefusedError: the cells are no Statcast export, or contradict stored rows; the database is unchanged.
    """
    if cells is None:
        async with engine.begin() as connection:
            await record(connection, make_entry(unit, LoadCounts(), games=0))
        return LoadCounts()
    reading = await asyncio.to_thread(parse_cells, cells, await read_rules(engine))
    del cells  # the text of a month weighs more than everything parsed from it
    try:
        return await _store(engine, unit, reading)
    except IntegrityError as conflict:
        raise SourceRefusedError(f"it contradicts what is stored: {conflict.orig}") from conflict


async def _store(engine: AsyncEngine, unit: IngestUnit, reading: ParseResult) -> LoadCounts:
    rows = as_simulated(reading.rows) if unit.simulated else reading.rows
    async with engine.begin() as connection:
        upserted = await upsert_pitches(connection, rows, simulated=unit.simulated, absent=reading.absent)
        await quarantine_rejected(connection, source=unit.source, unit=unit.name, reading=reading)
        counts = count_rows(reading, upserted)
        await record(connection, make_entry(unit, counts, games=rows["game_pk"].n_unique()))
        new_columns = await record_columns(connection, reading.unknown, unit.source, unit.name)
    if new_columns:
        log.warning("unknown_columns_found", detail="stored with their rows", unit=unit.name, columns=new_columns)
    return counts


def as_simulated(rows: pl.DataFrame) -> pl.DataFrame:
    """Negate the ids of games and players, so that none can equal a real id."""
    return rows.with_columns(-pl.col("game_pk", "batter", "pitcher", "on_1b", "on_2b", "on_3b"))


async def read_rules(engine: AsyncEngine) -> list[CorrectionRule]:
    """Read the active correction rules."""
    async with engine.connect() as connection:
        return await active_rules(connection)


def count_rows(reading: ParseResult, upserted: UpsertCounts) -> LoadCounts:
    """Count the parsed rows by outcome.

    Raises:
        ArithmeticError: the outcomes do not add up to the rows that came.
    """
    counts = LoadCounts(
        rows_in=reading.rows_in,
        stored=upserted.stored,
        unchanged=upserted.unchanged,
        quarantined=reading.rejected.height,
    )
    if counts.rows_in != counts.stored + counts.unchanged + counts.quarantined:
        raise ArithmeticError(f"the rows do not add up: {counts}")
    return counts


def make_entry(unit: IngestUnit, counts: LoadCounts, games: int) -> LedgerEntry:
    """Make the ledger entry of a loaded unit."""
    return LedgerEntry(
        source=unit.source,
        unit=unit.name,
        state="done" if counts.rows_in else "empty",
        day=unit.day,
        rows_in=counts.rows_in,
        stored=counts.stored,
        unchanged=counts.unchanged,
        quarantined=counts.quarantined,
        games=games,
        raw_sha256=unit.sha256,
        simulated=unit.simulated,
    )
