"""Ingest beside a bare binary COPY of the same typed rows, from memory into empty copies of the same table."""

import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.input_rows import MONTH
from benchmarks.workload_sizes import Scale
from ondeck_core.statcast.decode import decode_cells
from ondeck_ingest.pipeline.load import IngestUnit, load_unit
from ondeck_ingest.sources.simulator import simulated_day
from ondeck_store.database import asyncpg_connection, open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings

COLUMNS = ("", "rows/s", "of the bare COPY")

FIRST = "a file: read, checked, stored by COPY and upsert"
REPEATED = "the same file again: nothing changes"
BARE = "bare COPY, with the keys, checks and indexes of pitches"
NO_FOREIGN_KEYS = "bare COPY, without the foreign keys"
NO_CONSTRAINTS = "bare COPY, without any"

_FOREIGN_KEYS = {
    BARE: (
        "ALTER TABLE bare ADD FOREIGN KEY (game_pk, game_year) REFERENCES games (game_pk, season)",
        "ALTER TABLE bare ADD FOREIGN KEY (batter) REFERENCES players (player_id)",
        "ALTER TABLE bare ADD FOREIGN KEY (pitcher) REFERENCES players (player_id)",
    ),
    NO_FOREIGN_KEYS: (),
    NO_CONSTRAINTS: (),
}
_COPIES = {
    BARE: "(LIKE pitches INCLUDING ALL)",
    NO_FOREIGN_KEYS: "(LIKE pitches INCLUDING ALL)",
    NO_CONSTRAINTS: "(LIKE pitches)",
}


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure in a PostgreSQL of its own, rounds interleaved; returns a title and the rows of the table."""
    content, origin = _one_file(scale)
    with tempfile.TemporaryDirectory() as folder:
        rates = asyncio.run(_measure(content, Path(folder), scale.ingest_rounds))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    lines: list[tuple[str, ...]] = [
        (name, f"{rate:,.0f}", f"{rate / medians[BARE]:.2f}") for name, rate in medians.items()
    ]
    return f"ingest: {origin}", lines


def _one_file(scale: Scale) -> tuple[bytes, str]:
    if scale.uses_real_rows and MONTH.is_file():
        return MONTH.read_bytes(), "real rows of June 2024, one parquet file"
    half_innings = pl.concat(simulated_day(date(2022, 6, 1), games=scale.ingest_games))
    buffer = io.BytesIO()
    half_innings.write_parquet(buffer)
    return buffer.getvalue(), "simulated rows, one parquet file"


async def _measure(content: bytes, home: Path, rounds: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in (FIRST, REPEATED, *_COPIES)}
    async with open_database(StoreSettings(home=home)) as database:
        await migrate(database.engine)
        engine = database.engine
        for _ in range(rounds):
            await _run(engine, "TRUNCATE games, players, pitches, ingest_ledger, quarantine CASCADE")
            for name in (FIRST, REPEATED):
                rates[name].append(await _rate(partial(_ingest, engine, content)))
            typed = await _binary_rows(engine)
            for name in _COPIES:
                rates[name].append(await _bare_rate(engine, typed, name))
    return rates


async def bare_rate(engine: AsyncEngine) -> float:
    """Copy the stored rows by a bare binary COPY into an empty copy of their table; returns rows a second."""
    return await _bare_rate(engine, await _binary_rows(engine), BARE)


async def _bare_rate(engine: AsyncEngine, typed: bytes, name: str) -> float:
    await _run(engine, f"CREATE TABLE bare {_COPIES[name]}", *_FOREIGN_KEYS[name])
    rate = await _rate(partial(_copy, engine, typed))
    await _run(engine, "DROP TABLE bare")
    return rate


async def _rate(work: Callable[[], Awaitable[int]]) -> float:
    begin = time.perf_counter()
    rows = await work()
    return rows / (time.perf_counter() - begin)


async def _ingest(engine: AsyncEngine, content: bytes) -> int:
    taken = await load_unit(engine, IngestUnit(source="file", name="benchmark"), decode_cells(content))
    return taken.rows_in


async def _binary_rows(engine: AsyncEngine) -> bytes:
    buffer = io.BytesIO()
    async with engine.connect() as connection:
        driver = await asyncpg_connection(connection)
        await driver.copy_from_query("SELECT * FROM pitches", output=buffer, format="binary")
    return buffer.getvalue()


async def _copy(engine: AsyncEngine, typed: bytes) -> int:
    async with engine.begin() as connection:
        driver = await asyncpg_connection(connection)
        status = await driver.copy_to_table("bare", source=io.BytesIO(typed), format="binary")
    return int(status.split()[-1])


async def _run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
