"""Random cells: a unit is loaded and each of its rows is found again, or it is refused and nothing changes."""

import gzip
import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.statcast.schema import COLUMNS, ColumnType
from ondeck_ingest.pipeline.load import IngestUnit, load_unit
from ondeck_store.database import Database
from tests.unit.test_core_statcast_parse import A_ROW, cells

UNIT = IngestUnit(source="file", name="fuzz")
TABLES = "games, players, pitches, pitch_revisions, ingest_ledger, quarantine"
NUMBERS = tuple(column.name for column in COLUMNS if column.kind is not ColumnType.TEXT)
TEXTS = tuple(column.name for column in COLUMNS if column.kind is ColumnType.TEXT)
NASTY = ("\\.", "\\N", '"', "\r", "\x01", "a\rb", 'a"b,\nc', "\x1a", "\ufeff", "null", "NA", "-1", "{}")
NUMBER = st.one_of(
    st.sampled_from(["-1", "0", "4", "660271.0", "1e400", "1e-400", "1e-46", "-0.0", "inf", "nan", "2147483648", "٣"]),
    st.dates().map(str),
    st.floats().map(repr),
    st.integers().map(str),
)
TEXT = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
CELL = st.one_of(
    st.tuples(st.sampled_from(NUMBERS), NUMBER),
    st.tuples(st.sampled_from(TEXTS), TEXT),
    st.tuples(st.just("never seen"), TEXT),
)


async def truncate(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {TABLES} CASCADE"))


async def count_rows(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608  constant table names


async def check_loaded(engine: AsyncEngine, table: pl.DataFrame) -> None:
    if table.height and parse_cells(table).rows.is_empty():
        with pytest.raises(SourceRefusedError, match=f"none of its {table.height} rows is valid"):
            await load_unit(engine, UNIT, table)
        return
    first = await load_unit(engine, UNIT, table)
    assert (first.rows_in, first.changed, first.unchanged) == (table.height, 0, 0)
    again = await load_unit(engine, UNIT, table)
    assert again == replace(first, inserted=0, unchanged=first.inserted)
    found = [await count_rows(engine, name) for name in ("pitches", "quarantine", "pitch_revisions")]
    assert found == [first.inserted, first.quarantined, 0]


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(changes=st.lists(st.lists(CELL, max_size=3), max_size=6), one_game=st.booleans())
async def test_any_cells_are_stored_or_quarantined_and_found_again(
    database: Database, changes: list[list[tuple[str, str]]], *, one_game: bool
) -> None:
    rows = [
        {**A_ROW, "never seen": None, "game_pk": "1" if one_game else str(1 + number), **dict(row)}
        for number, row in enumerate(changes)
    ]
    table = pl.DataFrame(rows, schema={name: pl.String for row in rows for name in row} or cells({}).schema)
    await truncate(database.engine)
    await check_loaded(database.engine, table)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.realdata
async def test_a_damaged_real_file_is_refused_or_loaded_to_the_last_row(
    database: Database, real_data: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311  random damage, no secret
    whole = gzip.decompress((real_data / "schema_samples" / "savant_2020_09_03_one_game.csv.gz").read_bytes())
    for _ in range(8):
        broken = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
        for _ in range(rng.randrange(4)):
            broken[rng.randrange(1500, len(broken) + 1500) % len(broken)] = rng.randrange(32, 127)
        await truncate(database.engine)
        try:
            table = decode_cells(bytes(broken))
            await check_loaded(database.engine, table)
        except SourceRefusedError:
            assert await count_rows(database.engine, "pitches") == 0


async def test_a_unit_that_moves_a_stored_game_to_another_season_is_refused(database: Database) -> None:
    await load_unit(database.engine, UNIT, cells({}))
    other = cells({"game_date": "2023-05-02", "game_year": "2023"}, {"game_pk": "2"})
    with pytest.raises(SourceRefusedError, match="it contradicts what is stored"):
        await load_unit(database.engine, UNIT, other)
    assert await count_rows(database.engine, "pitches") == 1


async def test_a_triplicate_row_is_found_as_often_as_it_was_quarantined(database: Database) -> None:
    await check_loaded(database.engine, cells({}, {}, {}))
    assert await count_rows(database.engine, "quarantine") == 2
