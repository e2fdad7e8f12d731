"""Database migrations: order, locks, and use during reads and writes."""

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ondeck_store.database import Database
from ondeck_store.migrations import NewerSchemaError, migrate

VERSIONS = "store/ondeck_store/migrations/versions"
FIRST = "0001"  # it creates tables in an empty database, so no lock can block
EXCLUDED = {
    "prefer-bigint-over-int": "MLBAM ids, seasons and dates have their ranges checked, and fit",
    "require-lock-timeout": "set on every connection",
    "require-statement-timeout": "set on every connection",
}


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def migrations(root: Path) -> list[ModuleType]:
    return [load(path) for path in sorted((root / VERSIONS).glob("0*.py"))]


def test_each_migration_follows_the_previous_one(migrations: list[ModuleType]) -> None:
    assert [module.revision for module in migrations] == [f"{number:04d}" for number in range(1, len(migrations) + 1)]
    assert [module.down_revision for module in migrations] == [None, *(module.revision for module in migrations[:-1])]


def test_no_migration_blocks_a_database_in_use(migrations: list[ModuleType], tmp_path: Path) -> None:
    for module in migrations:
        if module.revision != FIRST:
            text_of = "".join(f"{each.strip()};\n" for each in module.STATEMENTS)
            (tmp_path / f"{module.revision}.sql").write_text(text_of)
    command = [str(Path(sys.executable).parent / "squawk"), "--assume-in-transaction", "--pg-version", "18"]
    command += [f"--exclude={','.join(EXCLUDED)}", "--reporter", "gcc", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
async def first_migration(opened_database: Database) -> AsyncIterator[AsyncEngine]:
    """Yield a separate database at the first migration, with rows in it."""
    server = create_async_engine(opened_database.engine.url, isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.execute(text("DROP DATABASE IF EXISTS migrated WITH (FORCE)"))
        await connection.execute(text("CREATE DATABASE migrated"))
    engine = create_async_engine(opened_database.engine.url.set(database="migrated"))
    await migrate(engine, FIRST)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO players (player_id) SELECT generate_series(1, 20000)"))
    yield engine
    await engine.dispose()
    async with server.connect() as connection:
        await connection.execute(text("DROP DATABASE migrated WITH (FORCE)"))
    await server.dispose()


async def test_all_migrations_apply_during_reads_and_writes(first_migration: AsyncEngine) -> None:
    done = asyncio.Event()
    written = 0

    async def read_and_write() -> None:
        nonlocal written
        while not done.is_set():
            async with first_migration.begin() as connection:
                await connection.execute(text("SELECT count(*) FROM players WHERE name IS NULL"))
                await connection.execute(text(f"INSERT INTO players (player_id) VALUES ({30_000 + written})"))  # noqa: S608  a number
            written += 1

    using = asyncio.create_task(read_and_write())
    await asyncio.sleep(0.2)
    await migrate(first_migration)
    await asyncio.sleep(0.2)
    done.set()
    await using
    async with first_migration.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM players WHERE state = 'unresolved'"))
        assert found.scalar_one() == 20_000 + written
    assert written > 10


FIXTURES = (
    (
        "INSERT INTO ingest_ledger (source, unit, state, wanted_at, odd_games, odd_rows) "
        "VALUES ('savant', '2024-06-03', 'wanted', '2024-06-04Z', 'a game stops early', 'few rows')"
    ),
    "INSERT INTO ingest_sources (source, state) VALUES ('savant', 'answers'), ('other', 'rests')",
    (
        "INSERT INTO quarantine_rules (at, who, why, cells, instead, taken_back_at) "
        """VALUES ('2024-06-04Z', 'ana', 'misread', '{"balls": "4"}', '{"balls": "3"}', '2024-06-05Z')"""
    ),
    (
        "INSERT INTO player_overrides (at, who, why, player_id, system, value, holds) "
        "VALUES ('2024-06-04Z', 'ana', 'club site', 1, 'name', 'Al', false)"
    ),
    "INSERT INTO player_conflicts (player_id, what, ours, theirs, source) VALUES (1, 'born', '1999', '2000', 'x')",
)
RENAMED = {
    "SELECT state, requested_at::date::text, game_warning, row_count_warning FROM ingest_ledger": [
        ("requested", "2024-06-04", "a game stops early", "few rows")
    ],
    "SELECT source, state FROM ingest_sources ORDER BY source": [("other", "open"), ("savant", "closed")],
    "SELECT created_at::date::text, created_by, reason, cells ->> 'balls', replacement ->> 'balls', "
    "revoked_at::date::text FROM quarantine_rules": [("2024-06-04", "ana", "misread", "4", "3", "2024-06-05")],
    "SELECT created_at::date::text, created_by, reason, player_id, is_active FROM player_overrides": [
        ("2024-06-04", "ana", "club site", 1, False)
    ],
    "SELECT field, stored_value, source_value FROM player_conflicts": [("born", "1999", "2000")],
}


async def test_renamed_columns_and_states_keep_their_values(first_migration: AsyncEngine) -> None:
    await migrate(first_migration, "0005")
    async with first_migration.begin() as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        for statement in FIXTURES:
            await connection.exec_driver_sql(statement)
    await migrate(first_migration)
    async with first_migration.begin() as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        for query, rows in RENAMED.items():
            assert [tuple(row) for row in await connection.exec_driver_sql(query)] == rows, query


async def test_a_database_of_a_newer_release_is_refused_in_one_sentence(first_migration: AsyncEngine) -> None:
    await migrate(first_migration)
    async with first_migration.begin() as connection:
        (known,) = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars()
        await connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    with pytest.raises(NewerSchemaError) as refused:
        await migrate(first_migration)
    assert str(refused.value) == (
        f"a newer Ondeck has migrated the database (schema 0099; this release knows schema {known}): "
        "upgrade Ondeck, or use another database or home folder"
    )
