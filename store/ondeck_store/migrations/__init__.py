"""Migrations: open a database with the tables of this release; forward only, one program at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ondeck_core.errors import OndeckError
from ondeck_store.database import DRIVER_ERRORS, Database, DatabaseFailedError, error_text, open_database
from ondeck_store.settings import StoreSettings

_LOCK: Final = 0x0DEC  # any number, but the same for every Ondeck program
T = TypeVar("T")


class NewerSchemaError(OndeckError):
    """A newer release has migrated the database; this one does not know its tables."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"a newer Ondeck has migrated the database (schema {found}; this release knows schema {known}): "
            "upgrade Ondeck, or use another database or home folder"
        )


@asynccontextmanager
async def open_migrated(settings: StoreSettings, advice: str = "") -> AsyncIterator[Database]:
    """Open and migrate the database inside the block; `advice` ends the text of a `DatabaseFailedError`.

    Raises:
        DatabaseFailedError: the connection was lost or a statement failed; its transaction is rolled back.
        NewerSchemaError: a newer release has migrated the database.
    """
    async with open_database(settings) as database:
        try:
            await migrate(database.engine)
            yield database
        except BrokenPipeError:  # standard output is closed; no failure of the database
            raise
        except DRIVER_ERRORS as failed:
            described = f"{database.described} failed: {error_text(failed)}"
            raise DatabaseFailedError("\n".join(filter(None, (described, advice)))) from failed


async def run_in_transaction(settings: StoreSettings, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Open the database and run `work` in one transaction."""
    advice = "Nothing was changed; run the same command again."
    async with open_migrated(settings, advice) as database, database.engine.begin() as connection:
        return await work(connection)


async def migrate(engine: AsyncEngine, to: str = "head") -> None:
    """Apply the missing migrations, if any, in one transaction; programs that start together wait for each other.

    Raises:
        NewerSchemaError: a newer release has migrated the database.
    """
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.run_sync(_upgrade, to)


def _upgrade(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerSchemaError(found, str(scripts.get_current_head()))
    command.upgrade(config, to)
