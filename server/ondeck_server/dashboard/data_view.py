"""Reads the view "data": what is stored, what is in quarantine, and which players are in no register."""

from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from ondeck_server.dashboard.ingest_calendar import LedgerDay, calendars, problem_days

if TYPE_CHECKING:
    from ondeck_store.connection import Connection

MAX_LINES: Final = 50  # of a list; its number is complete
_DAYS: Final = """
SELECT day, state, rows_in AS rows, coalesce(rejected.rows, 0) AS quarantined,
    nullif(concat_ws('; ', last_error, game_warning, row_count_warning), '') AS problem
FROM ingest_ledger
LEFT JOIN (
    SELECT source, unit, count(*) AS rows FROM quarantine WHERE closed_at IS NULL GROUP BY source, unit
) AS rejected USING (source, unit)
WHERE day IS NOT NULL AND unit = day::text AND NOT simulated
ORDER BY day, updated_at
"""
_GAMES: Final = "SELECT game_date, count(*) AS games FROM games WHERE NOT simulated GROUP BY game_date"
_SEASONS: Final = """
SELECT season, games, pitches FROM (
    SELECT season, sum(pitches)::bigint AS pitches FROM player_seasons WHERE role = 'pitcher' GROUP BY season
) AS pitched
JOIN (SELECT season, count(*) AS games FROM games WHERE NOT simulated GROUP BY season) AS played USING (season)
ORDER BY season DESC
"""
_QUARANTINE: Final = """
SELECT code, count(*) AS rows, count(DISTINCT unit) AS units, max(quarantined_at) AS latest,
    (array_agg(reason ORDER BY id DESC))[1] AS example
FROM quarantine WHERE closed_at IS NULL GROUP BY code ORDER BY rows DESC, code
"""
_CLOSED: Final = (
    "SELECT outcome, count(*) AS rows FROM quarantine WHERE closed_at IS NOT NULL GROUP BY outcome ORDER BY 1"
)
_UNRESOLVED: Final = """
SELECT player_id, name, next_try, count(*) OVER () AS total
FROM players WHERE state = 'unresolved' AND NOT simulated ORDER BY player_id LIMIT $1
"""
_CONFLICTS: Final = "SELECT count(*) FROM player_conflicts"
_SOURCES: Final = "SELECT source, state, until, reason, recorded_at FROM ingest_sources ORDER BY source"
_LOADS: Final = """
SELECT source, unit, loaded_at, inserted, changed, reverted_by IS NOT NULL AS is_reverted
FROM ingest_loads ORDER BY number DESC LIMIT 10
"""


async def read_data(connection: "Connection", today: date) -> dict[str, Any]:
    """Return the values of the view as JSON values."""
    entries = [LedgerDay(**row) for row in await connection.fetch(_DAYS)]
    games = {row["game_date"]: row["games"] for row in await connection.fetch(_GAMES)}
    unresolved = [dict(row) for row in await connection.fetch(_UNRESOLVED, MAX_LINES)]
    found = calendars(entries, games, today)
    problems = problem_days(found, entries)
    values = {
        "calendars": [asdict(each) for each in found],
        "problem_days": [asdict(each) for each in problems[:MAX_LINES]],
        "problem_day_count": len(problems),
        "seasons": [dict(row) for row in await connection.fetch(_SEASONS)],
        "quarantine": [dict(row) for row in await connection.fetch(_QUARANTINE)],
        "quarantine_closed": {row["outcome"]: row["rows"] for row in await connection.fetch(_CLOSED)},
        "unresolved_count": unresolved[0]["total"] if unresolved else 0,
        "unresolved": [{name: row[name] for name in ("player_id", "name", "next_try")} for row in unresolved],
        "conflict_count": await connection.fetchval(_CONFLICTS),
        "sources": [dict(row) for row in await connection.fetch(_SOURCES)],
        "loads": [dict(row) for row in await connection.fetch(_LOADS)],
    }
    return {name: to_json(value) for name, value in values.items()}


def to_json(value: Any) -> Any:  # noqa: ANN401  values of any column
    """Return a value with days and times as ISO 8601."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case dict():
            return {name: to_json(each) for name, each in value.items()}
        case list():
            return [to_json(each) for each in value]
    return value
