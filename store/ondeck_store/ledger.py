"""The ingest ledger: what was taken from where, and what became of its rows."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final, Literal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables import ingest_ledger

State = Literal["done", "empty", "failed"]
_KEY: Final = ("source", "unit")


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One unit of ingest: a day of a source, or a file. rows_in = stored + unchanged + quarantined, or refused."""

    source: str
    unit: str
    state: State
    day: date | None = None
    rows_in: int = 0
    stored: int = 0
    unchanged: int = 0
    quarantined: int = 0
    games: int = 0
    raw_sha256: str | None = None
    last_error: str | None = None
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordedEntry(LedgerEntry):
    """An entry as it stands in the ledger."""

    attempts: int
    updated_at: datetime


async def record(connection: AsyncConnection, entry: LedgerEntry) -> None:
    """Make this be what the ledger says of the unit; counts the attempts."""
    values = asdict(entry)
    statement = insert(ingest_ledger).values(values)
    news = {name: statement.excluded[name] for name in values if name not in _KEY}
    counted = {"attempts": ingest_ledger.c.attempts + 1, "updated_at": func.now()}
    await connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_={**news, **counted}))


async def days_done(connection: AsyncConnection, source: str, first: date, last: date) -> set[date]:
    """Tell which days of a source, both ends included, need not be asked for again."""
    found = await connection.execute(
        select(ingest_ledger.c.day).where(
            ingest_ledger.c.source == source,
            ingest_ledger.c.day.between(first, last),
            ingest_ledger.c.state.in_(("done", "empty")),
        )
    )
    return set(found.scalars())


async def latest(connection: AsyncConnection, limit: int = 20) -> list[RecordedEntry]:
    """Read the entries that changed last, newest first."""
    found = await connection.execute(select(ingest_ledger).order_by(ingest_ledger.c.updated_at.desc()).limit(limit))
    return [RecordedEntry(**row) for row in found.mappings()]
