"""What is asked for again and again: a man's pitches, a game in order, a day.

Each query names its seasons, so that their partitions are read and no others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.models import Role
from ondeck_core.statcast.schema import NAMES, SCHEMA
from ondeck_store.database import copy_out

_SEASON: Final = "SELECT season FROM games WHERE game_pk = :game_pk"
_AS_OF: Final = f"""
SELECT {", ".join(f"put_back.{name}" for name in NAMES)}
FROM pitches, LATERAL (
    SELECT coalesce(jsonb_object_agg(oldest.key, oldest.value), '{{}}') AS former
    FROM (
        SELECT DISTINCT ON (was.key) was.key, was.value
        FROM pitch_revisions AS r, jsonb_each(r.former) AS was
        WHERE (r.game_pk, r.at_bat_number, r.pitch_number)
            = (pitches.game_pk, pitches.at_bat_number, pitches.pitch_number) AND r.changed_at > $2
        ORDER BY was.key, r.changed_at
    ) AS oldest
) AS back, LATERAL jsonb_populate_record(pitches, back.former) AS put_back
WHERE pitches.game_pk = $1 AND pitches.stored_at <= $2
ORDER BY pitches.at_bat_number, pitches.pitch_number
"""  # noqa: S608  names of our own


async def pitches_of(
    connection: AsyncConnection,
    player_id: int,
    role: Role,
    days: tuple[date, date],
    *,
    columns: Sequence[str] = NAMES,
) -> pl.DataFrame:
    """Read the pitches that a man saw or threw from the first to the last of two days, in the order of play."""
    first, last = days
    query = man_query(role, first.year, last.year, columns)
    return await copy_out(connection, query, (player_id, first, last), _schema(columns))


async def game_in_order(connection: AsyncConnection, game_pk: int, *, columns: Sequence[str] = NAMES) -> pl.DataFrame:
    """Read the pitches of a game, in the order of play; none of a game that is not known."""
    season = (await connection.execute(text(_SEASON), {"game_pk": game_pk})).scalar_one_or_none()
    if season is None:
        return pl.DataFrame(schema=_schema(columns))
    return await copy_out(connection, game_query(season, columns), (game_pk,), _schema(columns))


async def day_in_order(connection: AsyncConnection, day: date, *, columns: Sequence[str] = NAMES) -> pl.DataFrame:
    """Read all pitches of a day, game by game, in the order of play."""
    return await copy_out(connection, day_query(day.year, columns), (day,), _schema(columns))


async def pitches_as_of(connection: AsyncConnection, game_pk: int, moment: datetime) -> pl.DataFrame:
    """Read the pitches of a game as they were at a moment: what came later is left out, what changed is put back.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is no moment")
    return await copy_out(connection, _AS_OF, (game_pk, moment), {name: SCHEMA[name] for name in NAMES})


async def read_pitches(
    connection: AsyncConnection,
    *,
    first_day: date,
    last_day: date,
    game_types: Sequence[str] = ("R",),
    columns: Sequence[str] = NAMES,
) -> pl.DataFrame:
    """Read columns of the real pitches of some days, in the order of play; simulated ones are never among them."""
    kinds = ", ".join(f"'{kind}'" for kind in game_types if kind.isalnum())
    query = f"""
    SELECT {", ".join(columns)} FROM pitches
    WHERE game_year BETWEEN {first_day.year:d} AND {last_day.year:d}
        AND game_date BETWEEN $1 AND $2 AND game_type IN ({kinds}) AND NOT simulated
    ORDER BY game_date, game_pk, at_bat_number, pitch_number
    """  # noqa: S608  columns of the contract, game types checked
    return await copy_out(connection, query, (first_day, last_day), {name: SCHEMA[name] for name in columns})


async def span_of_days(connection: AsyncConnection) -> tuple[date, date] | None:
    """Tell the first and the last day of real regular-season pitches, or None where there is none."""
    found = await connection.execute(
        text("SELECT min(game_date), max(game_date) FROM games WHERE game_type = 'R' AND NOT simulated")
    )
    first, last = found.one()
    return None if first is None else (first, last)


def man_query(role: Role, first_season: int, last_season: int, columns: Sequence[str]) -> str:
    """Write the query of `pitches_of`; $1 is the man, $2 and $3 the days."""
    return f"""
    SELECT {", ".join(columns)} FROM pitches
    WHERE {role.value} = $1 AND game_date BETWEEN $2 AND $3 AND game_year BETWEEN {first_season:d} AND {last_season:d}
    ORDER BY game_date, game_pk, at_bat_number, pitch_number
    """  # noqa: S608  columns of the contract


def game_query(season: int, columns: Sequence[str]) -> str:
    """Write the query of `game_in_order`; $1 is the game."""
    return f"""
    SELECT {", ".join(columns)} FROM pitches WHERE game_pk = $1 AND game_year = {season:d}
    ORDER BY at_bat_number, pitch_number
    """  # noqa: S608  columns of the contract


def day_query(season: int, columns: Sequence[str]) -> str:
    """Write the query of `day_in_order`; $1 is the day."""
    return f"""
    SELECT {", ".join(columns)} FROM pitches WHERE game_date = $1 AND game_year = {season:d}
    ORDER BY game_pk, at_bat_number, pitch_number
    """  # noqa: S608  columns of the contract


def _schema(columns: Sequence[str]) -> dict[str, pl.DataType]:
    return {name: SCHEMA[name] for name in columns}


_QUERY: Final = f"""
SELECT {", ".join(NAMES)} FROM pitches
WHERE simulated AND game_pk = $1 AND at_bat_number > $2
ORDER BY at_bat_number, pitch_number
"""  # noqa: S608  names of our own
_GAMES: Final = text("SELECT count(*) FROM games WHERE simulated AND game_date = :day")


async def read_simulated(connection: AsyncConnection, *, game_pk: int, after_at_bat: int = 0) -> pl.DataFrame:
    """Read the pitches of a simulated game that belong to later at-bats, in the order of play."""
    return await copy_out(connection, _QUERY, (game_pk, after_at_bat), SCHEMA)


async def simulated_games(connection: AsyncConnection, day: date) -> int:
    """Count the games that have been simulated for a day."""
    return int((await connection.execute(_GAMES, {"day": day})).scalar_one())


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
