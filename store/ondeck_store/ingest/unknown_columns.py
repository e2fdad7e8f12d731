"""Columns that no export has had before: kept with their rows, and told of once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.ingest import ingest_columns


@dataclass(frozen=True, kw_only=True)
class UnknownColumn:
    """A column that the contract does not know, and where it was first seen."""

    name: str
    source: str
    unit: str
    first_seen: datetime


async def note_columns(connection: AsyncConnection, names: Sequence[str], source: str, unit: str) -> list[str]:
    """Note unknown columns; returns those that nobody had seen before."""
    if not names:
        return []
    rows = [{"name": name, "source": source, "unit": unit} for name in sorted(names)]
    noted = insert(ingest_columns).values(rows).on_conflict_do_nothing().returning(ingest_columns.c.name)
    return sorted((await connection.execute(noted)).scalars())


async def unknown_columns(connection: AsyncConnection) -> list[UnknownColumn]:
    """List the unknown columns that have been seen, the newest first."""
    query = select(ingest_columns).order_by(ingest_columns.c.first_seen.desc(), ingest_columns.c.name)
    return [UnknownColumn(**row) for row in (await connection.execute(query)).mappings()]
