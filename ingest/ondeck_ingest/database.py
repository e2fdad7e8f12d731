"""The way in to the database for commands: opened, with the tables of this release."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.database import FAILED, Database, DatabaseFailedError, open_database, reason_of
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings

T = TypeVar("T")


@asynccontextmanager
async def migrated(settings: StoreSettings) -> AsyncIterator[Database]:
    """Open the database, with the tables of this release.

    Raises:
        DatabaseFailedError: it was lost in the middle, or refused something; its transaction is undone.
    """
    async with open_database(settings) as database:
        try:
            await migrate(database.engine)
            yield database
        except BrokenPipeError:  # nobody reads what is told any more
            raise
        except FAILED as failed:
            raise DatabaseFailedError(
                f"{database.described} failed: {reason_of(failed)}\nWhat was told as taken is stored, all else is as "
                "it was; the same command again takes the rest."
            ) from failed


async def within(settings: StoreSettings, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do something in one transaction of its own."""
    async with migrated(settings) as database, database.engine.begin() as connection:
        return await work(connection)
