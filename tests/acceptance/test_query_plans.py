"""Query plans of the frequent queries on a real season: none scans a whole table."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.models import Role
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.statcast.schema import NAMES
from ondeck_store.database import Database
from ondeck_store.pitches.queries import day_query, game_query, player_query, read_day, read_game, read_player_pitches
from ondeck_store.pitches.upsert import upsert_pitches
from tests.fixtures.store import truncate_tables

pytestmark = pytest.mark.realdata

PLAYER_ID, GAME, DAY = 543037, 746165, "DATE '2024-06-26'"
QUERIES = {
    "a pitcher's pitches": player_query(Role.PITCHER, 2024, 2024, NAMES).replace("$1", str(PLAYER_ID)),
    "a batter's pitches": player_query(Role.BATTER, 2024, 2024, NAMES).replace("$1", str(PLAYER_ID)),
    "a game in order": game_query(2024, NAMES).replace("$1", str(GAME)),
    "a day": day_query(2024, NAMES).replace("$1", DAY),
}


@pytest.fixture(scope="module")
async def season(opened_database: Database, real_data: Path) -> AsyncIterator[Database]:
    async with opened_database.engine.begin() as connection:
        await truncate_tables(connection)
        for path in sorted((real_data / "statcast").glob("*.parquet")):
            await upsert_pitches(connection, parse_cells(pl.read_parquet(path)).rows, simulated=False)
        await connection.execute(text("ANALYZE pitches_2024"))
    yield opened_database
    async with opened_database.engine.begin() as connection:
        await truncate_tables(connection)


@pytest.fixture
async def connection(season: Database) -> AsyncIterator[AsyncConnection]:
    async with season.engine.connect() as opened:
        yield opened


@pytest.mark.parametrize("query", QUERIES)
async def test_a_hot_query_reads_by_index_only(connection: AsyncConnection, query: str) -> None:
    statement = QUERIES[query].replace("$2", "DATE '2024-05-01'").replace("$3", "DATE '2024-06-30'")
    plan = [row[0] for row in await connection.execute(text(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}"))]
    assert "Seq Scan" not in "\n".join(plan), "\n".join(plan)
    assert any("Index" in line for line in plan)


async def test_hot_queries_return_what_is_stored(connection: AsyncConnection, real_data: Path) -> None:
    june = parse_cells(pl.read_parquet(real_data / "statcast" / "statcast_2024-06.parquet")).rows.select(NAMES)
    order = ["game_pk", "at_bat_number", "pitch_number"]
    a_day = june.filter(pl.col("game_date") == date(2024, 6, 26)).sort(order)
    assert (await read_day(connection, date(2024, 6, 26))).equals(a_day, null_equal=True)
    game_pk = int(a_day["game_pk"][0])
    assert (await read_game(connection, game_pk)).equals(a_day.filter(pl.col("game_pk") == game_pk), null_equal=True)
    assert (await read_game(connection, -1)).is_empty()
    pitcher = int(a_day["pitcher"][0])
    thrown = june.filter(pl.col("pitcher") == pitcher).sort("game_date", *order)
    found = await read_player_pitches(connection, pitcher, Role.PITCHER, (date(2024, 6, 1), date(2024, 6, 30)))
    assert found.equals(thrown, null_equal=True)


async def test_statements_are_measured(connection: AsyncConnection) -> None:
    found = await connection.execute(text("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%pitches%'"))
    assert found.scalar_one() > 0
