"""The ingest ledger: what was wanted and taken from where, what became of its rows, and what is odd about it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

from sqlalchemy import case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.ingest import ingest_ledger, ingest_sources

State = Literal["wanted", "done", "empty", "failed"]
_KEY: Final = ("source", "unit")
_GOT: Final = ("done", "empty")
_SETTLING: Final = 0x0DEC_1ED6  # any number, as long as it is the same for all

_ENDS: Final = text("""
SELECT DISTINCT ON (game_pk)
    game_pk, game_type, inning, inning_topbot AS half, outs_when_up AS outs, events AS event,
    coalesce(post_home_score, home_score) AS home, coalesce(post_away_score, away_score) AS away,
    count(*) OVER (PARTITION BY game_pk) AS pitches
FROM pitches WHERE game_year = :season AND game_date = :day AND NOT simulated
ORDER BY game_pk, at_bat_number DESC, pitch_number DESC
""")


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
    """An entry as it stands in the ledger; `updated_at` is when the unit was last tried."""

    attempts: int
    updated_at: datetime
    wanted_at: datetime | None
    fetched_at: datetime | None
    revisions: int
    odd_games: str | None
    odd_rows: str | None

    @property
    def suspicious(self) -> str | None:
        """What is odd about it, in words."""
        return "; ".join(odd for odd in (self.odd_games, self.odd_rows) if odd) or None


@dataclass(frozen=True, kw_only=True)
class GameEnd:
    """The last stored pitch of a game: where it stood before it (outs) and after it (score, NULL in old exports)."""

    game_pk: int
    game_type: str
    inning: int
    half: str
    outs: int
    event: str | None
    home: int | None
    away: int | None
    pitches: int


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """Whether a source answers, as last recorded by whoever asked it."""

    source: str
    state: str
    until: datetime | None = None
    reason: str | None = None
    recorded_at: datetime | None = None


async def record(connection: AsyncConnection, entry: LedgerEntry) -> None:
    """Make this be what the ledger says of the unit; counts attempts and revisions.

    A failure takes nothing away from what was got before: it is noted beside it.
    """
    values = asdict(entry)
    statement = insert(ingest_ledger).values(values)
    fresh, old = statement.excluded, ingest_ledger.c
    kept = (fresh.state == "failed") & old.state.in_(_GOT)
    again = (old.state == "done") & (fresh.state == "done") & (fresh.stored > 0)
    news = {name: case((kept, old[name]), else_=fresh[name]) for name in values if name not in _KEY}
    counted = {"attempts": old.attempts + 1, "revisions": old.revisions + case((again, 1), else_=0)}
    told = {"last_error": fresh.last_error, "updated_at": func.clock_timestamp()}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=_KEY, set_={**news, **counted, **told}),
    )


async def want(connection: AsyncConnection, source: str, days: Sequence[date]) -> None:
    """Note that days are wanted; what is known of them stays."""
    if not days:
        return
    same = {"source": source, "state": "wanted", "attempts": 0, "wanted_at": datetime.now(UTC)}
    statement = insert(ingest_ledger)
    noted = statement.on_conflict_do_update(index_elements=_KEY, set_={"wanted_at": statement.excluded.wanted_at})
    await connection.execute(noted, [{**same, "unit": str(day), "day": day} for day in sorted(days)])


async def settle(connection: AsyncConnection) -> None:
    """Have the rest of the transaction to oneself, as far as others settle, too."""
    await connection.execute(select(func.pg_advisory_xact_lock(_SETTLING)))


async def amend(connection: AsyncConnection, source: str, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Change columns of units; the number of attempts and the time of the last stay."""
    for unit in sorted(changes):
        where = (ingest_ledger.c.source == source) & (ingest_ledger.c.unit == unit)
        await connection.execute(update(ingest_ledger).where(where).values(changes[unit]))


async def game_ends(connection: AsyncConnection, day: date) -> list[GameEnd]:
    """Read where each stored game of a day stops."""
    found = await connection.execute(_ENDS, {"season": day.year, "day": day})
    return [GameEnd(**row) for row in found.mappings()]


async def days_of(connection: AsyncConnection, source: str, first: date, last: date) -> list[RecordedEntry]:
    """Read the entries of the days of a source, both ends included, in order."""
    ledger = ingest_ledger.c
    which = (ledger.source == source) & ledger.day.between(first, last) & (ledger.unit == func.text(ledger.day))
    found = await connection.execute(select(ingest_ledger).where(which).order_by(ledger.day))
    return [RecordedEntry(**row) for row in found.mappings()]


async def days_done(connection: AsyncConnection, source: str, first: date, last: date) -> set[date]:
    """Tell which days of a source, both ends included, have been got."""
    entries = await days_of(connection, source, first, last)
    return {entry.day for entry in entries if entry.day is not None and entry.state in _GOT}


async def troubled_days(connection: AsyncConnection, source: str) -> list[RecordedEntry]:
    """Read the entries of the days of a source that failed when they were last tried, or are odd; the newest first."""
    ledger = ingest_ledger.c
    odd = or_(ledger.last_error.is_not(None), ledger.odd_games.is_not(None), ledger.odd_rows.is_not(None))
    query = select(ingest_ledger).where((ledger.source == source) & ledger.day.is_not(None), odd)
    found = await connection.execute(query.order_by(ledger.day.desc()))
    return [RecordedEntry(**row) for row in found.mappings()]


async def latest(connection: AsyncConnection, limit: int = 20) -> list[RecordedEntry]:
    """Read the entries that changed last, newest first."""
    found = await connection.execute(select(ingest_ledger).order_by(ingest_ledger.c.updated_at.desc()).limit(limit))
    return [RecordedEntry(**row) for row in found.mappings()]


async def record_source(connection: AsyncConnection, told: SourceState) -> None:
    """Record whether a source answers."""
    values = {**asdict(told), "recorded_at": datetime.now(UTC)}
    statement = insert(ingest_sources).values(values)
    await connection.execute(statement.on_conflict_do_update(index_elements=("source",), set_=values))


async def source_states(connection: AsyncConnection) -> list[SourceState]:
    """Read what was recorded last of each source."""
    found = await connection.execute(select(ingest_sources).order_by(ingest_sources.c.source))
    return [SourceState(**row) for row in found.mappings()]
