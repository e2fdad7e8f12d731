"""Ingest beside a bare binary COPY of the same typed rows, already in memory, into empty copies of the same table."""

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

from benchmarks.rows import MONTH
from ondeck_core.statcast.decode import cells_of
from ondeck_ingest.pipeline.load import IngestUnit, take
from ondeck_ingest.sources.simulator import simulated_day
from ondeck_store.copy import driver_of
from ondeck_store.database import open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings

COLUMNS = ("", "rows/s", "of the bare COPY")
ROUNDS = 3
SIMULATED_GAMES = 150

TAKEN = "a file: read, checked, stored by COPY and upsert"
AGAIN = "the same file again: nothing changes"
BARE = "bare COPY, with the keys, checks and indexes of pitches"
KEYED = "bare COPY, without the foreign keys"
BAREST = "bare COPY, without any"

_FOREIGN_KEYS = {
    BARE: (
        "ALTER TABLE bare ADD FOREIGN KEY (game_pk, game_year) REFERENCES games (game_pk, season)",
        "ALTER TABLE bare ADD FOREIGN KEY (batter) REFERENCES players (player_id)",
        "ALTER TABLE bare ADD FOREIGN KEY (pitcher) REFERENCES players (player_id)",
    ),
    KEYED: (),
    BAREST: (),
}
_COPIES = {
    BARE: "(LIKE pitches INCLUDING ALL)",
    KEYED: "(LIKE pitches INCLUDING ALL)",
    BAREST: "(LIKE pitches)",
}


def measure() -> tuple[str, list[tuple[str, ...]]]:
    """Measure in an embedded PostgreSQL of its own, rounds interleaved; returns a title and the rows of the table."""
    content, origin = _a_file()
    with tempfile.TemporaryDirectory() as folder:
        rates = asyncio.run(_measure(content, Path(folder)))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    lines = [(name, f"{rate:,.0f}", f"{rate / medians[BARE]:.2f}") for name, rate in medians.items()]
    return f"ingest: {origin}", [*lines]


def _a_file() -> tuple[bytes, str]:
    if MONTH.is_file():
        return MONTH.read_bytes(), "real rows of June 2024, one parquet file"
    halves = pl.concat(simulated_day(date(2022, 6, 1), games=SIMULATED_GAMES))
    buffer = io.BytesIO()
    halves.write_parquet(buffer)
    return buffer.getvalue(), "simulated rows, one parquet file"


async def _measure(content: bytes, home: Path) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in (TAKEN, AGAIN, *_COPIES)}
    async with open_database(StoreSettings(home=home)) as database:
        await migrate(database.engine)
        engine = database.engine
        for _ in range(ROUNDS):
            await _run(engine, "TRUNCATE games, players, pitches, ingest_ledger, quarantine CASCADE")
            for name in (TAKEN, AGAIN):
                rates[name].append(await _rate(partial(_take, engine, content)))
            typed = await _binary(engine)
            for name in _COPIES:
                rates[name].append(await _bare_rate(engine, typed, name))
    return rates


async def bare_rate(engine: AsyncEngine) -> float:
    """Tell how many of the stored rows a second a bare binary COPY takes into an empty copy of their table."""
    return await _bare_rate(engine, await _binary(engine), BARE)


async def _bare_rate(engine: AsyncEngine, typed: bytes, name: str) -> float:
    await _run(engine, f"CREATE TABLE bare {_COPIES[name]}", *_FOREIGN_KEYS[name])
    rate = await _rate(partial(_copy, engine, typed))
    await _run(engine, "DROP TABLE bare")
    return rate


async def _rate(work: Callable[[], Awaitable[int]]) -> float:
    begin = time.perf_counter()
    rows = await work()
    return rows / (time.perf_counter() - begin)


async def _take(engine: AsyncEngine, content: bytes) -> int:
    taken = await take(engine, IngestUnit(source="file", name="benchmark"), cells_of(content))
    return taken.rows_in


async def _binary(engine: AsyncEngine) -> bytes:
    buffer = io.BytesIO()
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        await driver.copy_from_query("SELECT * FROM pitches", output=buffer, format="binary")
    return buffer.getvalue()


async def _copy(engine: AsyncEngine, typed: bytes) -> int:
    async with engine.begin() as connection:
        driver = await driver_of(connection)
        status = await driver.copy_to_table("bare", source=io.BytesIO(typed), format="binary")
    return int(status.split()[-1])


async def _run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
