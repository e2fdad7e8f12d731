"""What is stored, counted: by season, by state of the days that were wanted."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SEASONS: Final = text("""
SELECT season, games, pitches, first_day, last_day
FROM (SELECT game_year AS season, count(*) AS pitches FROM pitches WHERE NOT simulated GROUP BY game_year) AS thrown
JOIN (
    SELECT season, count(*) AS games, min(game_date) AS first_day, max(game_date) AS last_day
    FROM games WHERE NOT simulated GROUP BY season
) AS played USING (season)
ORDER BY season
""")
_DAYS: Final = text("""
SELECT state, count(*) AS days FROM ingest_ledger
WHERE source = :source AND day IS NOT NULL GROUP BY state ORDER BY state
""")


@dataclass(frozen=True, kw_only=True)
class SeasonSummary:
    """What is stored of a season, simulated rows left out."""

    season: int
    games: int
    pitches: int
    first_day: date
    last_day: date


async def seasons(connection: AsyncConnection) -> list[SeasonSummary]:
    """Count what is stored, season by season."""
    return [SeasonSummary(**row) for row in (await connection.execute(_SEASONS)).mappings()]


async def days_by_state(connection: AsyncConnection, source: str) -> dict[str, int]:
    """Count the days of a source in the ledger: wanted, done, empty, failed."""
    return {row.state: row.days for row in await connection.execute(_DAYS, {"source": source})}
