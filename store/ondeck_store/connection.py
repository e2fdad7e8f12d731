"""One connection to the database for short commands; to the embedded server it needs no SQLAlchemy and no Alembic."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from ondeck_store.embedded.cluster import DATABASE, PORT, USER
from ondeck_store.embedded.shared_server import shared_server
from ondeck_store.settings import CONNECT_SECONDS, SESSION, StoreSettings

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_REVISIONS: Final = Path(__file__).parent / "migrations" / "versions"  # compared without Alembic
_DIGITS: Final = "[0-9]" * 4  # of a revision: the name of its file begins with it
_DRIVER_ERRORS: Final = (asyncpg.InterfaceError, asyncpg.PostgresError, OSError)


@asynccontextmanager
async def connect_migrated(settings: StoreSettings) -> AsyncIterator["Connection"]:
    """Connect to a database with the tables of this release inside the block; errors as `open_migrated`."""
    async with AsyncExitStack() as stack:
        try:
            connection = await _connect_directly(settings, stack) or await _connect_by_pool(settings, stack)
            yield connection
        except BrokenPipeError:  # standard output is closed; no failure of the database
            raise
        except _DRIVER_ERRORS as failed:
            from ondeck_store.database import DatabaseFailedError, error_text  # noqa: PLC0415  it imports SQLAlchemy

            raise DatabaseFailedError(f"the database failed: {error_text(failed)}") from failed


async def _connect_directly(settings: StoreSettings, stack: AsyncExitStack) -> "Connection | None":
    """Connect to the embedded server; None: it is another server, or the tables are not those of this release."""
    if settings.database_url is not None:
        return None
    folder = await stack.enter_async_context(shared_server(settings.home))
    try:
        connection: Connection = await asyncpg.connect(
            host=str(folder),
            port=PORT,
            user=USER,
            database=DATABASE,
            timeout=CONNECT_SECONDS,
            server_settings=SESSION | {"statement_timeout": f"{settings.statement_timeout}s"},
        )
    except asyncpg.InvalidCatalogNameError:
        return None
    stack.push_async_callback(connection.close, timeout=CONNECT_SECONDS)
    return connection if await _has_current_schema(connection) else None


async def _has_current_schema(connection: "Connection") -> bool:
    """Return whether the newest migration of this release is the last one that was applied."""
    newest = max(path.stem for path in _REVISIONS.glob(f"{_DIGITS}_*.py"))
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return False
    stored = await connection.fetchval("SELECT version_num FROM alembic_version")
    return newest.startswith(f"{stored}_")


async def _connect_by_pool(settings: StoreSettings, stack: AsyncExitStack) -> "Connection":
    """Open the database as other programs do, and migrate it."""
    from ondeck_store.database import asyncpg_connection  # noqa: PLC0415  it imports SQLAlchemy
    from ondeck_store.migrations import open_migrated  # noqa: PLC0415  as above

    database = await stack.enter_async_context(open_migrated(settings))
    return await asyncpg_connection(await stack.enter_async_context(database.engine.connect()))
