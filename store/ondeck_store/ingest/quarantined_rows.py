"""Out of the quarantine: what is set aside, listed and counted; noted as stored once it fits after all."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.ingest import ingest_ledger, quarantine

_UNTOLD: Final = {"cells_sha256"}
_OPEN: Final = quarantine.c.closed_at.is_(None)


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow:
    """A row in quarantine. `cells` are its texts by column name, as they came; `rule` is the one that mended it."""

    id: int
    source: str
    unit: str
    code: str
    reason: str
    at: datetime
    cells: Mapping[str, str | None]
    closed_at: datetime | None
    outcome: Literal["stored", "superseded"] | None
    rule: int | None
    simulated: bool


@dataclass(frozen=True, kw_only=True)
class QuarantineFilter:
    """Which rows are meant; what is empty does not matter. Closed ones are meant only if named, or with `closed`."""

    ids: Collection[int] = ()
    code: str | None = None
    unit: str | None = None
    closed: bool = False


async def set_aside(
    connection: AsyncConnection, which: QuarantineFilter, limit: int | None = None
) -> list[QuarantinedRow]:
    """List rows in quarantine, the oldest first."""
    query = _chosen(which).order_by(quarantine.c.id).limit(limit)
    return [QuarantinedRow(**row) for row in (await connection.execute(query)).mappings()]


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """Count the rows that are set aside, by code."""
    query = select(quarantine.c.code, func.count().label("rows")).where(_OPEN).group_by(quarantine.c.code)
    return {row.code: row.rows for row in await connection.execute(query.order_by(quarantine.c.code))}


async def close(connection: AsyncConnection, rules: Mapping[int, int | None]) -> None:
    """Note that rows, by id, are stored after all: each by a rule, or as it is."""
    for number in set(rules.values()):
        ids = [id_ for id_, rule in rules.items() if rule == number]
        done = update(quarantine).where(quarantine.c.id.in_(ids))
        await connection.execute(done.values(closed_at=func.now(), outcome="stored", rule=number))


def _chosen(which: QuarantineFilter) -> Select[Any]:
    unit = (ingest_ledger.c.source == quarantine.c.source) & (ingest_ledger.c.unit == quarantine.c.unit)
    told = [column for column in quarantine.c if column.name not in _UNTOLD]
    simulated = func.coalesce(ingest_ledger.c.simulated, False).label("simulated")
    return select(*told, simulated).outerjoin(ingest_ledger, unit).where(*_conditions(which))


def _conditions(which: QuarantineFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [] if which.closed or which.ids else [_OPEN]
    if which.ids:
        found.append(quarantine.c.id.in_(which.ids))
    if which.code is not None:
        found.append(quarantine.c.code == which.code)
    if which.unit is not None:
        found.append(quarantine.c.unit == which.unit)
    return found
