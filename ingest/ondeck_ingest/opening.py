"""The way in to the database for commands: opened, with the tables of this release."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.database import Database, open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings

T = TypeVar("T")


@asynccontextmanager
async def migrated(settings: StoreSettings) -> AsyncIterator[Database]:
    """Open the database, with the tables of this release."""
    async with open_database(settings) as database:
        await migrate(database.engine)
        yield database


async def within(settings: StoreSettings, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do something in one transaction of its own."""
    async with migrated(settings) as database, database.engine.begin() as connection:
        return await work(connection)
