"""A way to the rows: a pool of connections to the named PostgreSQL, or to the embedded one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ondeck_core.errors import OndeckError
from ondeck_store.embedded.cluster import DATABASE, PORT, USER, EmbeddedPostgresError
from ondeck_store.embedded.sharing import shared_server
from ondeck_store.settings import StoreSettings, parse_url

CONNECT_SECONDS: Final = 10
LOCK_SECONDS: Final = 60
IDLE_SECONDS: Final = 300
_ADVICE: Final = "Is the server up, and ONDECK_DATABASE_URL right? Unset, Ondeck starts a PostgreSQL of its own."


class DatabaseUnreachableError(OndeckError):
    """PostgreSQL does not answer, or does not let us in."""


class DatabaseFailedError(OndeckError):
    """PostgreSQL went away, or would not do what it was asked for; the text ends with its own reason."""


FAILED: Final = (SQLAlchemyError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError)
LOST: Final = (
    DatabaseUnreachableError,
    DatabaseFailedError,
    EmbeddedPostgresError,
    *FAILED,
)  # what may be raised when a database goes away


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open database; `described` names it for people, without a password."""

    engine: AsyncEngine
    described: str


@asynccontextmanager
async def open_database(settings: StoreSettings) -> AsyncIterator[Database]:
    """Open the database that the settings name, or else the embedded one, for as long as the block.

    Raises:
        DatabaseUnreachableError: the named server cannot be reached.
        EmbeddedPostgresError: the embedded one cannot be made or started.
    """
    if settings.database_url is not None:
        url = parse_url(settings.database_url)
        async with _connected(url, settings, url.render_as_string(hide_password=True)) as database:
            yield database
        return
    async with shared_server(settings.home) as socket_folder:
        # The maintenance database exists in every cluster; ours is made on first use.
        await _ensure_database(_socket_url(str(socket_folder), "postgres"))
        url = _socket_url(str(socket_folder), DATABASE)
        async with _connected(url, settings, f"embedded PostgreSQL in {settings.home.resolve()}") as database:
            await _measure_statements(database.engine)
            yield database


def _socket_url(folder: str, database: str) -> URL:
    return URL.create("postgresql+asyncpg", username=USER, database=database, query={"host": folder, "port": str(PORT)})


@asynccontextmanager
async def _connected(url: URL, settings: StoreSettings, described: str) -> AsyncIterator[Database]:
    engine = create_async_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_SECONDS, "server_settings": _session(settings)},
    )
    try:
        await _reach(engine, described)
        yield Database(engine=engine, described=described)
    finally:
        await engine.dispose()


def _session(settings: StoreSettings) -> dict[str, str]:
    return {
        "application_name": "ondeck",
        "jit": "off",
        "statement_timeout": f"{settings.statement_timeout}s",
        "lock_timeout": f"{LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    }


async def _reach(engine: AsyncEngine, described: str, advice: str = _ADVICE) -> None:
    try:
        async with engine.connect():
            return
    except (OSError, DBAPIError, ValueError) as refused:
        raise DatabaseUnreachableError(f"cannot reach {described}: {reason_of(refused)}. {advice}") from refused


def reason_of(failed: BaseException) -> str:
    """Say what PostgreSQL or its driver said, without the statement."""
    return str(failed.orig if isinstance(failed, DBAPIError) else failed) or type(failed).__name__


async def _ensure_database(maintenance: URL) -> None:
    engine = create_async_engine(maintenance, isolation_level="AUTOCOMMIT")
    try:
        await _reach(engine, "the embedded PostgreSQL", "It has just gone, and is started again at the next try.")
        async with engine.connect() as connection:
            found = await connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = $1", (DATABASE,))
            if found.first() is None:
                await connection.exec_driver_sql(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await engine.dispose()


async def _measure_statements(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
