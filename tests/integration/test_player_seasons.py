"""Sums of pitches per player, role, team and season: kept by ingest, equal to sums over all stored pitches."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta

import polars as pl
import pytest
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_ingest.pipeline.load import IngestUnit, as_simulated, load_unit
from ondeck_store.database import Database
from ondeck_store.ingest.revert import revert_unit
from ondeck_store.migrations import migrate
from ondeck_store.pitches.player_seasons import GROUPED, SUMS
from ondeck_store.pitches.upsert import upsert_pitches
from tests.factories.statcast_rows import sample_cells, sample_rows

DAY = date(2022, 6, 1)
COLUMNS = ("player_id", "season", "role", "team", "league", "game_type", "pitches", "first_day", "last_day")


async def kept_sums(connection: AsyncConnection) -> set[tuple[object, ...]]:
    found = await connection.execute(text(f"SELECT {', '.join(COLUMNS)} FROM player_seasons"))  # noqa: S608  constant names
    return {tuple(row) for row in found}


async def recomputed_sums(connection: AsyncConnection) -> set[tuple[object, ...]]:
    return {tuple(row) for row in await connection.execute(text(f"{SUMS} {GROUPED}"))}


def sums_of(rows: Iterable[RowMapping]) -> Counter[tuple[object, ...]]:
    """Count pitches by player, role and team, independently of the SQL."""
    found: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        away, home = row["away_team"], row["home_team"]
        batting, fielding = (away, home) if row["inning_topbot"] == "Top" else (home, away)
        found.update([(row["batter"], "batter", batting), (row["pitcher"], "pitcher", fielding)])
    return found


async def assert_sums_hold(connection: AsyncConnection) -> None:
    kept = await kept_sums(connection)
    assert kept == await recomputed_sums(connection)
    columns = "batter, pitcher, inning_topbot, away_team, home_team"
    stored = (await connection.execute(text(f"SELECT {columns} FROM pitches"))).mappings().all()  # noqa: S608  constant names
    totals: Counter[tuple[object, ...]] = Counter()
    for player_id, _, role, team, _, _, pitches, *_ in kept:
        assert isinstance(pitches, int)
        totals[player_id, role, team] += pitches
    assert totals == sums_of(stored)


def on_some_rows(rows: pl.DataFrame, random_: random.Random, **columns: pl.Expr | str) -> pl.DataFrame:
    chosen = pl.Series([random_.random() < 0.1 for _ in range(rows.height)])
    return rows.with_columns(
        pl.when(chosen).then(pl.lit(value) if isinstance(value, str) else value).otherwise(name).alias(name)
        for name, value in columns.items()
    )


def on_a_game(rows: pl.DataFrame, random_: random.Random, **columns: pl.Expr) -> pl.DataFrame:
    game = pl.col("game_pk") == random_.choice(rows["game_pk"].unique(maintain_order=True).to_list())
    return rows.with_columns(pl.when(game).then(value).otherwise(name).alias(name) for name, value in columns.items())


CORRECTIONS: dict[str, Callable[[pl.DataFrame, random.Random], pl.DataFrame]] = {
    "nothing": lambda rows, _: rows,
    "no player": lambda rows, r: on_some_rows(rows, r, des="corrected"),
    "batter": lambda rows, r: on_some_rows(rows, r, batter=pl.col("batter").max()),
    "pitcher": lambda rows, r: on_some_rows(
        rows, r, pitcher=pl.col("pitcher").shift(-1, fill_value=rows["pitcher"][0])
    ),
    "half inning": lambda rows, r: on_some_rows(rows, r, inning_topbot="Top"),
    "player of another role": lambda rows, r: on_some_rows(rows, r, batter=pl.col("pitcher")),
    "teams": lambda rows, r: on_a_game(rows, r, home_team=pl.col("away_team"), away_team=pl.col("home_team")),
    "one team": lambda rows, r: on_a_game(rows, r, home_team=pl.lit("CHN")),
    "day": lambda rows, r: on_a_game(rows, r, game_date=pl.col("game_date") + timedelta(days=1)),
}


@pytest.mark.parametrize("seed", range(4))
async def test_the_sums_are_those_of_all_pitches_after_any_files_and_corrections(database: Database, seed: int) -> None:
    random_ = random.Random(seed)  # noqa: S311  a reproducible choice
    days = [sample_rows(DAY + timedelta(days=number), days=1, games=2, seed=seed) for number in range(3)]
    for _ in range(10):
        name, number = random_.choice([*CORRECTIONS]), random_.randrange(len(days))
        days[number] = CORRECTIONS[name](days[number], random_)
        file = pl.concat(days) if random_.random() < 0.2 else days[number].sample(fraction=0.7, seed=seed)
        async with database.engine.begin() as connection:
            await upsert_pitches(connection, file, simulated=False)
        async with database.engine.connect() as connection:
            await assert_sums_hold(connection)


async def test_a_reverted_load_leaves_the_sums_as_they_were(database: Database) -> None:
    cells = sample_cells(DAY, days=2)
    batter = pl.when(pl.int_range(pl.len()) < 12).then(pl.lit("900000099")).otherwise("batter")
    other_day = sample_cells(DAY + timedelta(days=2), days=1)
    files = {"first": cells, "corrected": cells.with_columns(batter=batter), "more": pl.concat([cells, other_day])}
    states = []
    for name, file in files.items():
        async with database.engine.connect() as connection:
            states.append(await kept_sums(connection))
        await load_unit(database.engine, IngestUnit(source="file", name=name), file)
        async with database.engine.connect() as connection:
            await assert_sums_hold(connection)
    assert len({frozenset(state) for state in states}) == len(files)
    for name, state in zip(reversed(files), reversed(states), strict=True):
        async with database.engine.begin() as connection:
            await revert_unit(connection, name)
        async with database.engine.connect() as connection:
            await assert_sums_hold(connection)
            assert await kept_sums(connection) == state


async def test_a_day_that_is_rolled_back_leaves_the_sums_as_they_were(database: Database) -> None:
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, sample_rows(DAY, days=1), simulated=False)
        before = await kept_sums(connection)
    async with database.engine.connect() as connection:
        await upsert_pitches(connection, sample_rows(DAY + timedelta(days=1), days=1), simulated=False)
        assert await kept_sums(connection) != before
        await connection.rollback()
        assert await kept_sums(connection) == before


async def test_simulated_pitches_are_in_no_sum(connection: AsyncConnection) -> None:
    await upsert_pitches(connection, as_simulated(sample_rows(DAY, days=1)), simulated=True)
    assert await kept_sums(connection) == set()


async def test_a_sum_has_its_first_and_last_day(connection: AsyncConnection) -> None:
    rows = sample_rows(DAY, days=3)
    await upsert_pitches(connection, rows, simulated=False)
    batter = rows["batter"][0]
    days = rows.filter(pl.col("batter") == batter)["game_date"]
    found = await connection.execute(
        text("SELECT min(first_day), max(last_day) FROM player_seasons WHERE player_id = :id AND role = 'batter'"),
        {"id": batter},
    )
    assert tuple(found.one()) == (days.min(), days.max())


async def test_games_that_are_stored_at_the_same_time_are_all_in_the_sums(database: Database) -> None:
    files = [sample_rows(DAY + timedelta(days=number), days=1) for number in range(4)]
    stored = asyncio.Barrier(len(files))

    async def store(rows: pl.DataFrame) -> None:
        await stored.wait()
        async with database.engine.begin() as connection:
            await upsert_pitches(connection, rows, simulated=False)

    await asyncio.gather(*map(store, files))
    async with database.engine.connect() as connection:
        await assert_sums_hold(connection)


async def test_the_migration_sums_what_is_already_stored(database: Database) -> None:
    rows = sample_rows(DAY, days=2, games=2)
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, rows, simulated=False)
        kept = await kept_sums(connection)
        await connection.execute(text("DROP VIEW player_pitches"))
        await connection.execute(text("DROP TABLE player_seasons, served_predictions, served_scores, server_trends"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
    await migrate(database.engine)
    async with database.engine.connect() as connection:
        assert await kept_sums(connection) == kept
        assert len(kept) > 0
