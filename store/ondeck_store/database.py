"""A pool of connections to the configured or the embedded PostgreSQL, COPY over it, and the seconds of its statements.

The seconds of statements are summed for the call, job or run that waits for them, and logged if they are many. A
statement is named by its verb and its first table, as `db.query.summary` of OpenTelemetry. Neither its text nor its
arguments are logged, and nothing is added to its text: statements of different calls share one prepared statement.
"""

import io
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import polars as pl
import structlog
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ondeck_core.errors import OndeckError
from ondeck_runtime.correlation import CURRENT_WORK
from ondeck_runtime.tracing import ACTIVE
from ondeck_store.embedded.account import EmbeddedPostgresError
from ondeck_store.embedded.cluster import DATABASE, PORT, USER
from ondeck_store.embedded.shared_server import shared_server
from ondeck_store.settings import CONNECT_SECONDS, SESSION, StoreSettings, hosts_of, parse_url

_COPY_ROWS: Final = 8192
SLOW_SECONDS: Final = "slow_statement_seconds"  # execution option of an engine; 0: no statement is slow
_STARTED_AT: Final = "statement_started_at"
_COMMENTS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TABLE: Final = re.compile(
    r'\b(?:INTO|FROM|UPDATE|TABLE)\s+(?:ONLY\s+|IF\s+(?:NOT\s+)?EXISTS\s+)?"?(\w+)', re.IGNORECASE
)
_ADVICE: Final = "Is the server up, and ONDECK_DATABASE_URL right? If unset, Ondeck starts its own PostgreSQL."

log = structlog.get_logger()


class DatabaseUnreachableError(OndeckError):
    """PostgreSQL does not answer, or rejects the login."""


class DatabaseFailedError(OndeckError):
    """PostgreSQL was lost or rejected a statement; the text ends with its reason."""


DRIVER_ERRORS: Final = (SQLAlchemyError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError)
DATABASE_ERRORS: Final = (
    DatabaseUnreachableError,
    DatabaseFailedError,
    EmbeddedPostgresError,
    *DRIVER_ERRORS,
)  # what a lost connection may raise


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open database; `described` is its name in messages, without a password."""

    engine: AsyncEngine
    described: str


@asynccontextmanager
async def open_database(settings: StoreSettings) -> AsyncIterator[Database]:
    """Open the configured database, or the embedded one if none is configured, inside the block.

    Raises:
        DatabaseUnreachableError: the configured server cannot be reached.
        EmbeddedPostgresError: the embedded server cannot be created or started.
    """
    if settings.database_url is not None:
        url = parse_url(settings.database_url)
        described = url.render_as_string(hide_password=True)
        async with _connected(*_address(url), settings, described) as database:
            yield database
        return
    async with shared_server(settings.home) as socket_folder:
        # The maintenance database exists in every cluster; ours is created on first use.
        await _ensure_database(_socket_url(socket_folder, "postgres"))
        url = _socket_url(socket_folder, DATABASE)
        async with _connected(url, {}, settings, f"embedded PostgreSQL in {settings.home.resolve()}") as database:
            await _measure_statements(database.engine)
            yield database


def _socket_url(folder: str, database: str) -> URL:
    return URL.create("postgresql+asyncpg", username=USER, database=database, query={"host": folder, "port": str(PORT)})


@asynccontextmanager
async def _connected(
    url: URL, address: dict[str, list[Any]], settings: StoreSettings, described: str
) -> AsyncIterator[Database]:
    session = SESSION | {"statement_timeout": f"{settings.statement_timeout}s"}
    engine = create_async_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_SECONDS, "server_settings": session, **address},
        execution_options={SLOW_SECONDS: settings.slow_statement_seconds},
    )
    observe_statements(engine)
    try:
        await _reach(engine, described)
        yield Database(engine=engine, described=described)
    finally:
        await engine.dispose()


def _address(url: URL) -> tuple[URL, dict[str, list[Any]]]:
    """Return a URL, and the arguments of asyncpg for hosts that SQLAlchemy would split at the commas of a path."""
    found = hosts_of(url)
    if not any("," in host for host, _ in found) and len(found) <= 1:
        return url, {}
    hosts, ports = [host for host, _ in found], [port for _, port in found]
    return url.difference_update_query(["host", "port"]), {"host": hosts, "port": ports}


async def _reach(engine: AsyncEngine, described: str, advice: str = _ADVICE) -> None:
    try:
        async with engine.connect():
            return
    except (OSError, DBAPIError, ValueError) as refused:
        raise DatabaseUnreachableError(f"cannot reach {described}: {error_text(refused)}. {advice}") from refused


def error_text(failed: BaseException) -> str:
    """Return the error text of PostgreSQL or its driver, without the statement."""
    return str(failed.orig if isinstance(failed, DBAPIError) else failed) or type(failed).__name__


async def _ensure_database(maintenance: URL) -> None:
    engine = create_async_engine(maintenance, isolation_level="AUTOCOMMIT")
    try:
        await _reach(engine, "the embedded PostgreSQL", "It has just stopped; the next command starts it again.")
        async with engine.connect() as connection:
            found = await connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = $1", (DATABASE,))
            if found.first() is None:
                await connection.exec_driver_sql(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await engine.dispose()


async def _measure_statements(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


async def copy_in(connection: AsyncConnection, table: str, rows: pl.DataFrame) -> None:
    """COPY rows into a table, columns by name; the transaction must be open."""
    driver = await asyncpg_connection(connection)
    with timed(connection, f"COPY INTO {table}"):
        await driver.copy_to_table(table, source=_slices(rows), columns=rows.columns, format="csv")


async def _slices(rows: pl.DataFrame) -> AsyncIterator[bytes]:
    for part in rows.iter_slices(_COPY_ROWS):
        buffer = io.BytesIO()
        part.write_csv(buffer, include_header=False)
        yield buffer.getvalue()


async def copy_out(
    connection: AsyncConnection,
    query: str,
    arguments: Sequence[datetime | date | int | list[str]],
    schema: Mapping[str, pl.DataType],
) -> pl.DataFrame:
    """COPY the rows of a query into a frame; its columns are those of `schema`, in order."""
    driver = await asyncpg_connection(connection)
    buffer = io.BytesIO()
    with timed(connection, f"COPY {query}"):
        await driver.copy_from_query(query, *arguments, output=buffer, format="csv")
    buffer.seek(0)
    if not buffer.getbuffer().nbytes:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(buffer, has_header=False, schema=schema)


async def asyncpg_connection(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """Return the asyncpg connection; its transaction begins with the first statement that SQLAlchemy executes."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"expected an asyncpg connection, got {type(driver).__name__}")
    return driver


def statement_name(statement: str) -> str:
    """Return the verb and the first table of a statement, as `SELECT players`; the verb alone if it has no table."""
    text = _COMMENTS.sub(" ", statement).strip()
    verb = text.split(maxsplit=1)[0].upper() if text else "EMPTY"
    table = _TABLE.search(text)
    return f"{verb} {table[1]}" if table else verb


def observe_statements(engine: AsyncEngine) -> None:
    """Time every statement that SQLAlchemy executes on the connections of an engine."""

    def begin(connection: Connection, *_: Any) -> None:  # noqa: ANN401  arguments that are not used
        connection.info[_STARTED_AT] = time.perf_counter()

    def finish(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401  as above
        _end(connection, statement)

    def fail(failed: ExceptionContext) -> None:
        if failed.connection is not None and failed.statement is not None:
            _end(failed.connection, failed.statement, type(failed.original_exception).__name__)

    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", finish)
    event.listen(engine.sync_engine, "handle_error", fail)


@contextmanager
def timed(connection: AsyncConnection, statement: str) -> Iterator[None]:
    """Time a statement that the driver executes within the block, which SQLAlchemy does not see."""
    started_at = time.perf_counter()
    try:
        yield
    finally:
        options = connection.sync_connection.get_execution_options() if connection.sync_connection else {}
        _account(statement, started_at, options.get(SLOW_SECONDS, 0))


def _end(connection: Connection, statement: str, error: str = "") -> None:
    started_at = connection.info.pop(_STARTED_AT, None)
    if started_at is not None:
        _account(statement, started_at, connection.get_execution_options().get(SLOW_SECONDS, 0), error)


def _account(statement: str, started_at: float, slow_seconds: float, error: str = "") -> None:
    seconds = time.perf_counter() - started_at
    work = CURRENT_WORK.get()
    if work is not None:
        work.database_seconds += seconds
    if ACTIVE:
        ACTIVE[0].record_statement(statement_name(statement), seconds, work, error)
    if 0 < slow_seconds < seconds:
        log.warning("statement_slow", statement=statement_name(statement), seconds=round(seconds, 6))
