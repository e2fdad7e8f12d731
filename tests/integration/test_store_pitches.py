"""Pitches in the database: writes, revisions and reads."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.parse import EXTRA
from ondeck_core.statcast.schema import FIRST_SEASON, LAST_SEASON, NAMES, SCHEMA
from ondeck_ingest.pipeline.load import as_simulated
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import LedgerEntry, days_done, latest_entries, record
from ondeck_store.migrations import migrate
from ondeck_store.pitches.queries import (
    read_day_range,
    read_pitches,
    read_pitches_as_of,
    read_simulated,
    simulated_games,
)
from ondeck_store.pitches.upsert import UpsertCounts, upsert_pitches
from ondeck_store.tables.ingest import quarantine
from ondeck_store.tables.player_identity import player_aliases
from ondeck_store.tables.statcast import metadata
from tests.factories.statcast_rows import sample_rows

DAY = date(2022, 6, 1)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return sample_rows(DAY, days=2)


async def read_all(connection: AsyncConnection) -> pl.DataFrame:
    return await read_pitches(connection, first_day=date(2022, 1, 1), last_day=date(2022, 12, 31))


async def test_migrations_create_the_tables_that_the_code_declares(connection: AsyncConnection) -> None:
    def differences(sync: Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        foreign = ("pitches_", "served_predictions_2", "alembic_version", "ingest_pgqueuer")
        return [each for each in found if not any(name in str(each) for name in foreign)]

    assert player_aliases.metadata is quarantine.metadata is metadata
    assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await migrate(database.engine)
    async with database.engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM alembic_version"))
        assert found.scalar_one() == 1


async def test_every_season_of_the_schema_has_its_partition(connection: AsyncConnection) -> None:
    found = await connection.execute(text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'pitches'::regclass"))
    assert found.scalar_one() == LAST_SEASON - FIRST_SEASON + 1


async def test_rows_are_read_as_written(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    assert await upsert_pitches(connection, rows, simulated=False) == UpsertCounts(inserted=rows.height, unchanged=0)
    back = await read_all(connection)
    order = ["game_date", "game_pk", "at_bat_number", "pitch_number"]
    assert back.equals(rows.select(NAMES).sort(order), null_equal=True)


async def test_the_same_rows_again_change_nothing(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    again = await upsert_pitches(connection, rows, simulated=False)
    assert again == UpsertCounts(inserted=0, unchanged=rows.height)


@pytest.mark.parametrize(
    ("name", "value"),
    [("plate_x", 1.25), ("plate_x", None), ("des", 'Quoted "no", twice;\nthen\\N'), ("player_name", "Peña Jr., José")],
)
async def test_only_a_changed_row_is_stored_again(
    connection: AsyncConnection, rows: pl.DataFrame, name: str, value: object
) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    first = pl.int_range(pl.len()) == 0
    changed = rows.with_columns(pl.when(first).then(pl.lit(value, dtype=SCHEMA[name])).otherwise(name).alias(name))
    assert await upsert_pitches(connection, changed, simulated=False) == UpsertCounts(
        changed=1, unchanged=rows.height - 1
    )
    assert (await read_all(connection))[name].to_list().count(value) == changed[name].to_list().count(value)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    real=st.floats(width=32, allow_nan=False, allow_infinity=False),
    double=st.floats(allow_nan=False, allow_infinity=False),
    words=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda cell: cell == cell.strip()),
)
async def test_any_number_and_any_text_is_kept_exactly(
    connection: AsyncConnection, rows: pl.DataFrame, real: float, double: float, words: str
) -> None:
    one = rows.head(1).with_columns(
        pl.lit(real, dtype=pl.Float32).alias("plate_x"), pl.lit(double).alias("vx0"), pl.lit(words).alias("des")
    )
    await upsert_pitches(connection, one, simulated=False)
    back = await read_all(connection)
    assert (back["plate_x"][0], back["vx0"][0], back["des"][0]) == (one["plate_x"][0], double, words)
    await connection.rollback()


async def test_pitcher_and_batter_become_players_and_only_the_pitcher_is_named(
    connection: AsyncConnection, rows: pl.DataFrame
) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    found = (await connection.execute(text("SELECT player_id, name FROM players"))).all()
    names = {int(player): name for player, name in found}
    assert set(names) == {*rows["batter"], *rows["pitcher"]}
    assert {player for player, name in names.items() if name} == set(rows["pitcher"])


async def test_simulated_rows_are_never_among_the_real_ones(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await upsert_pitches(connection, as_simulated(rows), simulated=True)
    assert (await read_all(connection)).height == 0
    assert await read_day_range(connection) is None
    game = rows.filter(pl.col("game_pk") == rows["game_pk"][0])
    assert (await read_simulated(connection, game_pk=-int(rows["game_pk"][0]))).height == game.height
    assert await simulated_games(connection, DAY) == 1


@pytest.mark.parametrize("simulated", [True, False])
async def test_the_database_refuses_a_wrong_simulation_label(
    connection: AsyncConnection, rows: pl.DataFrame, *, simulated: bool
) -> None:
    mislabelled = rows if simulated else as_simulated(rows)
    with pytest.raises(IntegrityError, match="simulated_ids_are_negative"):
        await upsert_pitches(connection, mislabelled, simulated=simulated)


async def test_a_game_belongs_to_one_season_so_that_its_pitches_have_one_key(
    connection: AsyncConnection, rows: pl.DataFrame
) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    with pytest.raises(IntegrityError):
        await upsert_pitches(connection, rows.with_columns(game_year=pl.lit(2023, pl.Int32)), simulated=False)


async def test_a_read_returns_only_the_requested_columns_days_and_kinds(
    connection: AsyncConnection, rows: pl.DataFrame
) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    one_day = await read_pitches(connection, first_day=DAY, last_day=DAY, columns=("game_date", "plate_x"))
    assert one_day.columns == ["game_date", "plate_x"]
    assert one_day.height == rows.filter(pl.col("game_date") == DAY).height
    spring = await read_pitches(connection, first_day=DAY, last_day=DAY, values={"game_type": ("S",)})
    assert (spring.height, tuple(spring.columns)) == (0, NAMES)


async def test_the_ledger_has_the_latest_state_of_a_unit_and_counts_attempts(connection: AsyncConnection) -> None:
    failed = LedgerEntry(source="savant", unit="2022-06-01", day=DAY, state="failed", last_error="no answer")
    await record(connection, failed)
    assert await days_done(connection, "savant", DAY, DAY) == set()
    await record(
        connection, LedgerEntry(source="savant", unit="2022-06-01", day=DAY, state="done", rows_in=3, inserted=3)
    )
    assert await days_done(connection, "savant", DAY, DAY) == {DAY}
    (entry,) = await latest_entries(connection)
    assert (entry.state, entry.attempts, entry.last_error, entry.inserted) == ("done", 2, None, 3)


async def test_the_ledger_refuses_an_entry_that_loses_rows(connection: AsyncConnection) -> None:
    with pytest.raises(IntegrityError, match="no_row_is_lost"):
        await record(connection, LedgerEntry(source="file", unit="x", state="done", rows_in=3, inserted=2))


async def revisions(connection: AsyncConnection) -> list[dict[str, object]]:
    found = await connection.execute(text("SELECT former FROM pitch_revisions ORDER BY changed_at"))
    return [row.former for row in found]


async def transaction_time(connection: AsyncConnection) -> datetime:
    now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return now


async def test_a_changed_row_keeps_its_history_and_any_earlier_state_can_be_read(
    database: Database, rows: pl.DataFrame
) -> None:
    game = rows.filter(pl.col("game_pk") == rows["game_pk"][0])
    first = pl.int_range(pl.len()) == 0
    speeds = [1.0, 2.0, None]
    states, moments = [], []
    for speed in speeds:
        changed = pl.when(first).then(pl.lit(speed)).otherwise("release_speed").cast(pl.Float32)
        state = game.with_columns(changed.alias("release_speed"))
        async with database.engine.begin() as connection:
            await upsert_pitches(connection, state, simulated=False)
        async with database.engine.connect() as connection:
            states.append(state.select(NAMES).sort("at_bat_number", "pitch_number"))
            moments.append(await transaction_time(connection))
    async with database.engine.connect() as connection:
        assert await revisions(connection) == [{"release_speed": 1}, {"release_speed": 2}]
        game_pk = int(game["game_pk"][0])
        for then, state in zip(moments, states, strict=True):
            assert (await read_pitches_as_of(connection, game_pk, then)).equals(state, null_equal=True)
        before = moments[0] - timedelta(hours=1)
        assert (await read_pitches_as_of(connection, game_pk, before)).is_empty()
        with pytest.raises(ValueError, match="no time zone"):
            await read_pitches_as_of(connection, game_pk, before.replace(tzinfo=None))


async def test_rows_that_have_not_changed_make_no_revision(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    await upsert_pitches(connection, rows.filter(pl.col("batter") == rows["batter"][0]), simulated=False)
    await upsert_pitches(connection, rows, simulated=False)
    assert await revisions(connection) == []


async def test_an_older_state_ingested_after_a_newer_one_is_compared_again(
    connection: AsyncConnection, rows: pl.DataFrame
) -> None:
    newer = rows.with_columns(pl.lit("corrected").alias("des"))
    await upsert_pitches(connection, rows, simulated=False)
    await upsert_pitches(connection, newer, simulated=False)
    again = await upsert_pitches(connection, rows, simulated=False)
    assert again == UpsertCounts(changed=rows.height)


async def test_an_export_without_pitcher_names_removes_no_name(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await upsert_pitches(connection, rows, simulated=False)
    nameless = rows.with_columns(pl.lit(None, dtype=pl.String).alias("player_name"))
    assert await upsert_pitches(connection, nameless, simulated=False) == UpsertCounts(
        inserted=0, unchanged=rows.height
    )
    assert (await read_all(connection))["player_name"].null_count() == 0


async def test_an_export_without_a_column_keeps_its_stored_values(database: Database, rows: pl.DataFrame) -> None:
    known, absent = rows.with_columns(pl.lit(71.5, dtype=pl.Float32).alias("bat_speed")), ("bat_speed", EXTRA)
    older = rows.with_columns(pl.lit(None, dtype=pl.Float32).alias("bat_speed"), pl.lit("older").alias("des"))
    taken = [(known, ()), (older, absent), (older, absent), (older, ())]
    speeds, changed, then = [], [], []
    for state, columns in taken:
        async with database.engine.begin() as connection:
            upserted = await upsert_pitches(connection, state, simulated=False, absent=columns)
            changed.append(upserted.inserted + upserted.changed)
        async with database.engine.connect() as connection:
            speeds.append((await read_all(connection))["bat_speed"].count())
            then.append(await transaction_time(connection))
    assert (changed, speeds) == ([rows.height, rows.height, 0, rows.height], [rows.height, rows.height, rows.height, 0])
    async with database.engine.connect() as connection:
        before = await read_pitches_as_of(connection, int(rows["game_pk"][0]), then[1])
        assert (before["bat_speed"].null_count(), before["des"].unique().to_list()) == (0, ["older"])


async def test_unknown_columns_of_a_row_are_kept_as_json(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await upsert_pitches(connection, rows.with_columns(pl.lit('{"mood":"calm"}').alias(EXTRA)), simulated=False)
    found = await connection.execute(text("SELECT DISTINCT extra->>'mood' FROM pitches"))
    assert found.scalar_one() == "calm"
