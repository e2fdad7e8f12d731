"""Slow statements are logged by name, under the id of the work that waits for them, and counted in its seconds."""

from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from ondeck_runtime.correlation import correlated
from ondeck_store.database import Database, copy_in, copy_out, open_database, statement_name
from ondeck_store.settings import StoreSettings

SLEEP = text("SELECT pg_sleep(0.3)")


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT player_id FROM players WHERE x = $1", "SELECT players"),
        ("  -- a comment\nINSERT INTO pitches (a) SELECT 1", "INSERT pitches"),
        ("UPDATE ONLY games SET a = 1", "UPDATE games"),
        ("WITH new AS (SELECT 1) INSERT INTO games SELECT * FROM new", "WITH games"),
        ('DELETE FROM "quarantine" /* FROM x */', "DELETE quarantine"),
        ("CREATE TABLE IF NOT EXISTS old (a int)", "CREATE old"),
        ("COPY INTO pitches", "COPY pitches"),
        ("SELECT 1", "SELECT"),
        ("", "EMPTY"),
    ],
)
def test_a_statement_is_named_by_its_verb_and_its_table(statement: str, name: str) -> None:
    assert statement_name(statement) == name


@pytest.mark.parametrize(("slow_seconds", "count"), [(0.1, 1), (0, 0), (60, 0)])
async def test_a_slow_statement_is_logged_under_the_id_of_its_work(
    database: Database, store_home: Path, slow_seconds: float, count: int
) -> None:
    settings = StoreSettings(home=store_home, slow_statement_seconds=slow_seconds)
    async with open_database(settings) as opened:
        with capture_logs() as logs, correlated("job 1") as run:
            async with opened.engine.connect() as connection:
                await connection.execute(SLEEP)
    slow = [each for each in logs if each["event"] == "statement_slow"]
    assert [each["statement"] for each in slow] == ["SELECT"] * count
    assert all(each["seconds"] > 0.25 for each in slow)
    assert run.database_seconds > 0.25
    assert database.described


async def test_a_slow_statement_that_fails_is_logged_too(database: Database, store_home: Path) -> None:
    settings = StoreSettings(home=store_home, slow_statement_seconds=0.1)
    async with open_database(settings) as opened, opened.engine.connect() as connection:
        await connection.execute(text("SET statement_timeout = '300ms'"))
        with capture_logs() as logs, pytest.raises(DBAPIError):
            await connection.execute(text("SELECT pg_sleep(20) FROM pg_class"))
    assert [each["statement"] for each in logs] == ["SELECT pg_class"]
    assert database.described


async def test_a_copy_counts_as_a_statement(database: Database, store_home: Path) -> None:
    settings = StoreSettings(home=store_home, slow_statement_seconds=1e-9)
    async with open_database(settings) as opened, opened.engine.connect() as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE numbers (number int)"))
        with capture_logs() as logs, correlated() as run:
            await copy_in(connection, "numbers", pl.DataFrame({"number": [1, 2]}))
            found = await copy_out(connection, "SELECT number FROM numbers", [], {"number": pl.Int32()})
    assert found["number"].to_list() == [1, 2]
    assert [each["statement"] for each in logs] == ["COPY numbers", "COPY numbers"]
    assert run.database_seconds == pytest.approx(sum(each["seconds"] for each in logs), abs=1e-3)
    assert database.described


async def test_work_under_different_ids_shares_its_prepared_statements(database: Database, store_home: Path) -> None:
    async with open_database(StoreSettings(home=store_home, pool_size=1)) as opened:
        for name in ("one", "two", "three"):
            with correlated(name):
                async with opened.engine.connect() as connection:
                    await connection.execute(text("SELECT count(*) FROM players"))
        async with opened.engine.connect() as connection:
            counted = text(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT count(*) FROM players'"
            )
            assert (await connection.execute(counted)).scalar_one() == 1
    assert database.described
