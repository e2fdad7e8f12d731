"""A PostgreSQL of the session's own, and a clean database for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.database import Database, open_database
from ondeck_store.ingest_tables import quarantine
from ondeck_store.migrations import migrate
from ondeck_store.player_tables import player_ids
from ondeck_store.settings import StoreSettings
from ondeck_store.tables import metadata

QUEUE = ("ingest_pgqueuer", "ingest_pgqueuer_log", "ingest_pgqueuer_schedules", "ingest_pgqueuer_statistics")


@pytest.fixture(scope="session")
def store_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
async def opened_database(store_home: Path) -> AsyncIterator[Database]:
    async with open_database(StoreSettings(home=store_home)) as opened:
        await migrate(opened.engine)
        yield opened


async def empty(connection: AsyncConnection) -> None:
    """Leave the tables and take everything out of them."""
    assert player_ids.metadata is quarantine.metadata is metadata
    ours = [table.name for table in metadata.sorted_tables]
    await connection.execute(text(f"TRUNCATE {', '.join([*ours, *QUEUE])}"))


@pytest.fixture
async def database(opened_database: Database) -> Database:
    async with opened_database.engine.begin() as connection:
        await empty(connection)
    return opened_database


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[AsyncConnection]:
    async with database.engine.connect() as opened:
        yield opened
        await opened.rollback()
