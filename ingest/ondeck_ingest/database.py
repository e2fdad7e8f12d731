"""Open the database for a command, migrated to the tables of this release."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.database import DRIVER_ERRORS, Database, DatabaseFailedError, error_text, open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings

T = TypeVar("T")


@asynccontextmanager
async def migrated(settings: StoreSettings) -> AsyncIterator[Database]:
    """Open and migrate the database inside the block.

    Raises:
        DatabaseFailedError: the connection was lost or a statement failed; its transaction is rolled back.
    """
    async with open_database(settings) as database:
        try:
            await migrate(database.engine)
            yield database
        except BrokenPipeError:  # standard output is closed; no failure of the database
            raise
        except DRIVER_ERRORS as failed:
            raise DatabaseFailedError(
                f"{database.described} failed: {error_text(failed)}\nWhat was printed as ingested is stored, the rest "
                "is unchanged; run the same command again to ingest it."
            ) from failed


async def run_in_transaction(settings: StoreSettings, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Open the database and run `work` in one transaction."""
    async with migrated(settings) as database, database.engine.begin() as connection:
        return await work(connection)
