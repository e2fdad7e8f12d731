"""Reads of stored pitches: by player, game, day, and at a point in time.

Each query restricts the seasons, so that PostgreSQL reads only their partitions.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.models import Role
from ondeck_core.statcast.leagues import MAJOR_REGULAR_SEASON, GameSelection
from ondeck_core.statcast.schema import NAMES, SCHEMA
from ondeck_store.database import copy_out

REGULAR_SEASON: Final[Mapping[str, Sequence[str] | None]] = MappingProxyType(
    {"league": ("major",), "game_type": ("R",)}
)
_SEASON: Final = "SELECT season FROM games WHERE game_pk = :game_pk"
_AS_OF: Final = f"""
SELECT {", ".join(f"restored.{name}" for name in NAMES)}
FROM pitches, LATERAL (
    SELECT coalesce(jsonb_object_agg(oldest.key, oldest.value), '{{}}') AS former
    FROM (
        SELECT DISTINCT ON (was.key) was.key, was.value
        FROM pitch_revisions AS r, jsonb_each(r.former) AS was
        WHERE (r.game_pk, r.at_bat_number, r.pitch_number)
            = (pitches.game_pk, pitches.at_bat_number, pitches.pitch_number) AND r.changed_at > $2
        ORDER BY was.key, r.changed_at
    ) AS oldest
) AS revised, LATERAL jsonb_populate_record(pitches, revised.former) AS restored
WHERE pitches.game_pk = $1 AND pitches.stored_at <= $2
ORDER BY pitches.at_bat_number, pitches.pitch_number
"""  # noqa: S608  constant names
_SIMULATED_GAME: Final = f"""
SELECT {", ".join(NAMES)} FROM pitches
WHERE simulated AND game_pk = $1 AND at_bat_number > $2
ORDER BY at_bat_number, pitch_number
"""  # noqa: S608  constant names
_DAY_RANGE: Final = text("""
SELECT min(game_date), max(game_date) FROM games
WHERE league = :league AND NOT simulated
    AND (CAST (:game_types AS text[]) IS NULL OR game_type = ANY (CAST (:game_types AS text[])))
""")
_PITCH_COUNT: Final = text("""
SELECT count(*) FROM pitches
WHERE game_pk IN (SELECT game_pk FROM games WHERE league = :league) AND NOT simulated
    AND (CAST (:game_types AS text[]) IS NULL OR game_type = ANY (CAST (:game_types AS text[])))
""")
_OTHER_LEAGUES: Final = text("""
SELECT league, sum(count) AS pitches
FROM games, LATERAL (
    SELECT count(*) FROM pitches WHERE pitches.game_pk = games.game_pk AND pitches.game_year = games.season
) AS counted
WHERE league <> 'major' AND NOT simulated GROUP BY league ORDER BY league
""")
_UNREADABLE_CELLS: Final = text("""
SELECT game_pk, at_bat_number, pitch_number, game_date, cell.key AS column, cell.value AS text
FROM pitches, LATERAL jsonb_each_text(unreadable_cells) AS cell
WHERE unreadable_cells IS NOT NULL AND (CAST (:column AS text) IS NULL OR cell.key = CAST (:column AS text))
ORDER BY game_pk, at_bat_number, pitch_number, cell.key LIMIT :limit
""")
_SIMULATED_COUNT: Final = text("SELECT count(*) FROM games WHERE simulated AND game_date = :day")
_SEASONS: Final = text("""
SELECT season, games, pitches, first_day, last_day
FROM (SELECT game_year AS season, count(*) AS pitches FROM pitches WHERE NOT simulated GROUP BY game_year) AS pitched
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


async def read_player_pitches(
    connection: AsyncConnection,
    player_id: int,
    role: Role,
    days: tuple[date, date],
    *,
    columns: Sequence[str] = NAMES,
) -> pl.DataFrame:
    """Read the pitches of a batter or pitcher between two days, both included, in order of play."""
    first, last = days
    query = player_query(role, first.year, last.year, columns)
    return await copy_out(connection, query, (player_id, first, last), _schema(columns))


async def read_game(connection: AsyncConnection, game_pk: int, *, columns: Sequence[str] = NAMES) -> pl.DataFrame:
    """Read the pitches of a game in order of play; empty for an unknown game."""
    season = (await connection.execute(text(_SEASON), {"game_pk": game_pk})).scalar_one_or_none()
    if season is None:
        return pl.DataFrame(schema=_schema(columns))
    return await copy_out(connection, game_query(season, columns), (game_pk,), _schema(columns))


async def read_day(connection: AsyncConnection, day: date, *, columns: Sequence[str] = NAMES) -> pl.DataFrame:
    """Read all pitches of a day by game, in order of play."""
    return await copy_out(connection, day_query(day.year, columns), (day,), _schema(columns))


async def read_pitches_as_of(connection: AsyncConnection, game_pk: int, moment: datetime) -> pl.DataFrame:
    """Read the pitches of a game as they were stored at a point in time, from the revisions.

    Raises:
        ValueError: `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("the point in time has no time zone")
    return await copy_out(connection, _AS_OF, (game_pk, moment), {name: SCHEMA[name] for name in NAMES})


async def read_pitches(
    connection: AsyncConnection,
    *,
    first_day: date,
    last_day: date,
    values: Mapping[str, Sequence[str] | None] = REGULAR_SEASON,
    columns: Sequence[str] = NAMES,
) -> pl.DataFrame:
    """Read columns of the pitches between two days, both included, in order of play, without simulated pitches.

    `values` restricts the pitches to those with one of these values in each column; None: any value, but not null.
    The league is a column of their games.
    """
    given = {name: list(allowed) for name, allowed in values.items() if allowed is not None}
    conditions = [_condition(name, number) for number, name in enumerate(given, 3)]
    conditions += [f"{name} IS NOT NULL" for name, allowed in values.items() if allowed is None]
    query = f"""
    SELECT {", ".join(columns)} FROM pitches
    WHERE game_year BETWEEN {first_day.year:d} AND {last_day.year:d}
        AND game_date BETWEEN $1 AND $2 AND NOT simulated {"".join(f"AND {each} " for each in conditions)}
    ORDER BY game_date, game_pk, at_bat_number, pitch_number
    """  # noqa: S608  columns of the schema
    return await copy_out(connection, query, (first_day, last_day, *given.values()), _schema(columns))


def _condition(name: str, number: int) -> str:
    condition = f"{name} = ANY(${number})"
    return f"game_pk IN (SELECT game_pk FROM games WHERE {condition})" if name == "league" else condition  # noqa: S608  no value in it


def selected_values(games: GameSelection) -> dict[str, tuple[str, ...]]:
    """Return the `values` of `read_pitches` for the pitches of the selected games."""
    return {"league": (games.league,), **({"game_type": games.game_types} if games.game_types else {})}


async def read_day_range(
    connection: AsyncConnection, games: GameSelection = MAJOR_REGULAR_SEASON
) -> tuple[date, date] | None:
    """Return the first and the last day with such games, without simulated ones; None if there is none."""
    chosen = {"league": games.league, "game_types": list(games.game_types) or None}
    found = await connection.execute(_DAY_RANGE, chosen)
    first, last = found.one()
    return None if first is None else (first, last)


async def count_pitches(connection: AsyncConnection, games: GameSelection = MAJOR_REGULAR_SEASON) -> int:
    """Count the pitches of the selected games, without simulated ones."""
    chosen = {"league": games.league, "game_types": list(games.game_types) or None}
    return int((await connection.execute(_PITCH_COUNT, chosen)).scalar_one())


async def count_other_values(
    connection: AsyncConnection, games: GameSelection, column: str, known: Collection[str]
) -> int:
    """Count the pitches of `count_pitches` that have a value in a text column which is none of the known ones."""
    chosen = {"league": games.league, "game_types": list(games.game_types) or None, "known": list(known)}
    query = text(f"{_PITCH_COUNT.text} AND {column} <> ALL (CAST (:known AS text[]))")
    return int((await connection.execute(query, chosen)).scalar_one())


async def count_by_league(connection: AsyncConnection) -> dict[str, int]:
    """Count the stored pitches of games that are not of the major leagues, by league, without simulated ones."""
    return {row.league: row.pitches for row in await connection.execute(_OTHER_LEAGUES)}


def player_query(role: Role, first_season: int, last_season: int, columns: Sequence[str]) -> str:
    """Return the SQL of `read_player_pitches`; $1 is the player, $2 and $3 are the days."""
    return f"""
    SELECT {", ".join(columns)} FROM pitches
    WHERE {role.value} = $1 AND game_date BETWEEN $2 AND $3 AND game_year BETWEEN {first_season:d} AND {last_season:d}
    ORDER BY game_date, game_pk, at_bat_number, pitch_number
    """  # noqa: S608  columns of the schema


def game_query(season: int, columns: Sequence[str]) -> str:
    """Return the SQL of `read_game`; $1 is the game."""
    return f"""
    SELECT {", ".join(columns)} FROM pitches WHERE game_pk = $1 AND game_year = {season:d}
    ORDER BY at_bat_number, pitch_number
    """  # noqa: S608  columns of the schema


def day_query(season: int, columns: Sequence[str]) -> str:
    """Return the SQL of `read_day`; $1 is the day."""
    return f"""
    SELECT {", ".join(columns)} FROM pitches WHERE game_date = $1 AND game_year = {season:d}
    ORDER BY game_pk, at_bat_number, pitch_number
    """  # noqa: S608  columns of the schema


def _schema(columns: Sequence[str]) -> dict[str, pl.DataType]:
    return {name: SCHEMA[name] for name in columns}


async def read_simulated(connection: AsyncConnection, *, game_pk: int, after_at_bat: int = 0) -> pl.DataFrame:
    """Read the pitches of a simulated game after an at-bat, in order of play."""
    return await copy_out(connection, _SIMULATED_GAME, (game_pk, after_at_bat), SCHEMA)


async def simulated_games(connection: AsyncConnection, day: date) -> int:
    """Count the simulated games of a day."""
    return int((await connection.execute(_SIMULATED_COUNT, {"day": day})).scalar_one())


@dataclass(frozen=True, kw_only=True)
class UnreadableCell:
    """A cell without which a pitch is stored, as it came."""

    game_pk: int
    at_bat_number: int
    pitch_number: int
    game_date: date
    column: str
    text: str


async def read_unreadable_cells(
    connection: AsyncConnection, column: str | None = None, limit: int | None = None
) -> list[UnreadableCell]:
    """List the unreadable cells of stored pitches, of all columns or of one, in the order of the games."""
    found = await connection.execute(_UNREADABLE_CELLS, {"column": column, "limit": limit})
    return [UnreadableCell(**row) for row in found.mappings()]


@dataclass(frozen=True, kw_only=True)
class SeasonSummary:
    """Number of stored games and pitches of a season, without simulated ones."""

    season: int
    games: int
    pitches: int
    first_day: date
    last_day: date


async def seasons(connection: AsyncConnection) -> list[SeasonSummary]:
    """Summarize the stored pitches by season."""
    return [SeasonSummary(**row) for row in (await connection.execute(_SEASONS)).mappings()]


async def days_by_state(connection: AsyncConnection, source: str) -> dict[str, int]:
    """Count the days of a source in the ingest ledger by state."""
    return {row.state: row.days for row in await connection.execute(_DAYS, {"source": source})}
