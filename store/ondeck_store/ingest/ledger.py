"""The ingest ledger: requested and loaded units, their row counts and warnings; circuit breakers; unknown columns."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

from sqlalchemy import Select, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.ingest import ingest_columns, ingest_ledger, ingest_loads, ingest_sources

State = Literal["requested", "done", "empty", "failed", "reverted"]
_KEY: Final = ("source", "unit")
_INGESTED: Final = ("done", "empty")
_CHECKS_LOCK: Final = 0x0DEC_1ED6  # any number, but the same for every program

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
    """One unit, a day of a source or a file: rows_in = inserted + changed + unchanged + outdated + quarantined.

    Of the changed rows, `unordered` may be of an older download than the former ones.
    """

    source: str
    unit: str
    state: State
    day: date | None = None
    rows_in: int = 0
    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    outdated: int = 0
    unordered: int = 0
    quarantined: int = 0
    unreadable_cells: int = 0
    games: int = 0
    raw_sha256: str | None = None
    last_error: str | None = None
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordedEntry(LedgerEntry):
    """An entry as stored; `updated_at` is the time of the last attempt."""

    attempts: int
    updated_at: datetime
    requested_at: datetime | None
    fetched_at: datetime | None
    revisions: int
    game_warning: str | None
    row_count_warning: str | None

    @property
    def warning(self) -> str | None:
        """All warnings about the unit, or None."""
        return "; ".join(each for each in (self.game_warning, self.row_count_warning) if each) or None


@dataclass(frozen=True, kw_only=True)
class GameEnd:
    """The last stored pitch of a game: outs before it, score after it (NULL in old exports)."""

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
    """The state of the circuit breaker of a source, "closed" or "open", as last recorded by a worker."""

    source: str
    state: str
    until: datetime | None = None
    reason: str | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class UnknownColumn:
    """A column that is not in the schema, and the unit that first had it."""

    name: str
    source: str
    unit: str
    first_seen: datetime


async def record(connection: AsyncConnection, entry: LedgerEntry) -> None:
    """Record an attempt of a unit; counts attempts and revisions.

    A failure only sets the error of a unit that was ingested before; its other values stay.
    """
    values = asdict(entry)
    statement = insert(ingest_ledger).values(values)
    new, old = statement.excluded, ingest_ledger.c
    is_kept = (new.state == "failed") & old.state.in_(_INGESTED)
    is_revision = (old.state == "done") & (new.state == "done") & (new.inserted + new.changed > 0)
    changes = {
        **{name: case((is_kept, old[name]), else_=new[name]) for name in values if name not in _KEY},
        "attempts": old.attempts + 1,
        "revisions": old.revisions + case((is_revision, 1), else_=0),
        "last_error": new.last_error,
        "updated_at": func.clock_timestamp(),
    }
    await connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changes))


async def start_load(connection: AsyncConnection, source: str, unit: str) -> int:
    """Record a load that begins in this transaction; returns its number."""
    added = insert(ingest_loads).values(source=source, unit=unit).returning(ingest_loads.c.number)
    number: int = (await connection.execute(added)).scalar_one()
    return number


async def finish_load(
    connection: AsyncConnection, number: int, *, inserted: int, changed: int, days: tuple[date, date] | None
) -> None:
    """Record what a load stored, and its first and last game day; a load that stored nothing is removed."""
    load = ingest_loads.c.number == number
    if days is None or not inserted + changed:
        await connection.execute(delete(ingest_loads).where(load))
        return
    values = {"inserted": inserted, "changed": changed, "first_day": days[0], "last_day": days[1]}
    await connection.execute(update(ingest_loads).where(load).values(values))


async def request_days(connection: AsyncConnection, source: str, days: Sequence[date]) -> None:
    """Record that days are requested; existing entries keep their state."""
    if not days:
        return
    common = {"source": source, "state": "requested", "attempts": 0, "requested_at": datetime.now(UTC)}
    statement = insert(ingest_ledger)
    upsert = statement.on_conflict_do_update(
        index_elements=_KEY, set_={"requested_at": statement.excluded.requested_at}
    )
    await connection.execute(upsert, [{**common, "unit": str(day), "day": day} for day in sorted(days)])


async def lock_checks(connection: AsyncConnection) -> None:
    """Lock the warnings of the ledger until the end of the transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(_CHECKS_LOCK)))


async def update_entries(connection: AsyncConnection, source: str, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Change columns of entries, by unit; does not count as an attempt."""
    for unit in sorted(changes):
        where = (ingest_ledger.c.source == source) & (ingest_ledger.c.unit == unit)
        await connection.execute(update(ingest_ledger).where(where).values(changes[unit]))


async def game_ends(connection: AsyncConnection, day: date) -> list[GameEnd]:
    """Read the last stored pitch of each game of a day."""
    found = await connection.execute(_ENDS, {"season": day.year, "day": day})
    return [GameEnd(**row) for row in found.mappings()]


async def days_of(connection: AsyncConnection, source: str, first: date, last: date) -> list[RecordedEntry]:
    """Read the entries of the days of a source, both ends included, in order."""
    ledger = ingest_ledger.c
    is_chosen = (ledger.source == source) & ledger.day.between(first, last) & (ledger.unit == func.text(ledger.day))
    return await _read(connection, select(ingest_ledger).where(is_chosen).order_by(ledger.day))


async def days_done(connection: AsyncConnection, source: str, first: date, last: date) -> set[date]:
    """Return the ingested days of a source, both ends included."""
    entries = await days_of(connection, source, first, last)
    return {entry.day for entry in entries if entry.day is not None and entry.state in _INGESTED}


async def problem_days(connection: AsyncConnection, source: str) -> list[RecordedEntry]:
    """Read the days of a source whose last attempt failed or that have a warning, newest first."""
    ledger = ingest_ledger.c
    has_problem = or_(
        ledger.last_error.is_not(None), ledger.game_warning.is_not(None), ledger.row_count_warning.is_not(None)
    )
    query = select(ingest_ledger).where((ledger.source == source) & ledger.day.is_not(None), has_problem)
    return await _read(connection, query.order_by(ledger.day.desc()))


async def latest_entries(connection: AsyncConnection, limit: int = 20) -> list[RecordedEntry]:
    """Read the entries of the last attempts, newest first."""
    return await _read(connection, select(ingest_ledger).order_by(ingest_ledger.c.updated_at.desc()).limit(limit))


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[RecordedEntry]:
    return [RecordedEntry(**row) for row in (await connection.execute(query)).mappings()]


async def record_source(connection: AsyncConnection, state: SourceState) -> None:
    """Record the state of a circuit breaker."""
    values = {**asdict(state), "recorded_at": datetime.now(UTC)}
    statement = insert(ingest_sources).values(values)
    await connection.execute(statement.on_conflict_do_update(index_elements=("source",), set_=values))


async def source_states(connection: AsyncConnection) -> list[SourceState]:
    """Read the last recorded state of each source."""
    found = await connection.execute(select(ingest_sources).order_by(ingest_sources.c.source))
    return [SourceState(**row) for row in found.mappings()]


async def record_columns(connection: AsyncConnection, names: Sequence[str], source: str, unit: str) -> list[str]:
    """Record unknown columns; returns those that are new."""
    if not names:
        return []
    rows = [{"name": name, "source": source, "unit": unit} for name in sorted(names)]
    added = insert(ingest_columns).values(rows).on_conflict_do_nothing().returning(ingest_columns.c.name)
    return sorted((await connection.execute(added)).scalars())


async def unknown_columns(connection: AsyncConnection) -> list[UnknownColumn]:
    """List the recorded unknown columns, newest first."""
    query = select(ingest_columns).order_by(ingest_columns.c.first_seen.desc(), ingest_columns.c.name)
    return [UnknownColumn(**row) for row in (await connection.execute(query)).mappings()]
