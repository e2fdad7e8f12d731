"""COPY, which SQLAlchemy does not speak: straight through the asyncpg connection below it."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

ROWS_A_SLICE: Final = 8192


async def copy_in(connection: AsyncConnection, table: str, rows: pl.DataFrame) -> None:
    """COPY rows into a table, columns by name; the transaction of `connection` must have begun."""
    driver = await driver_of(connection)
    await driver.copy_to_table(table, source=_slices(rows), columns=rows.columns, format="csv")


async def _slices(rows: pl.DataFrame) -> AsyncIterator[bytes]:
    for part in rows.iter_slices(ROWS_A_SLICE):
        buffer = io.BytesIO()
        part.write_csv(buffer, include_header=False)
        yield buffer.getvalue()


async def copy_out(
    connection: AsyncConnection,
    query: str,
    arguments: Sequence[datetime | date | int],
    schema: Mapping[str, pl.DataType],
) -> pl.DataFrame:
    """COPY the rows of a query, whose columns are those of `schema`, into a frame of that schema."""
    driver = await driver_of(connection)
    buffer = io.BytesIO()
    await driver.copy_from_query(query, *arguments, output=buffer, format="csv")
    buffer.seek(0)
    if not buffer.getbuffer().nbytes:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(buffer, has_header=False, schema=schema)


async def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """Give the asyncpg connection below; its transaction has begun only once something was executed above."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError(f"expected an asyncpg connection, got {type(driver).__name__}")
    return driver
