"""Pitches: written as whole tables of rows, read as whole tables of columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.contract import KEY, NAMES, SCHEMA
from ondeck_store.driver import copy_in, copy_out

_UNIQUE: Final = (*KEY, "game_year")
_STAGED: Final = "staged_pitches"

_STAGE: Final = f"CREATE TEMPORARY TABLE {_STAGED} ON COMMIT DROP AS SELECT * FROM pitches WITH NO DATA"  # noqa: S608  names of our own

_OF_GAMES: Final = ("game_pk", "game_year", "game_date", "game_type", "home_team", "away_team", "simulated")
_OF_PLAYERS: Final = ("pitcher", "player_name", "batter", "simulated")

_NEW_GAMES: Final = f"""
INSERT INTO games (game_pk, season, game_date, game_type, home_team, away_team, simulated)
SELECT game_pk, game_year, game_date, game_type, home_team, away_team, simulated FROM {_STAGED} ORDER BY game_pk
ON CONFLICT DO NOTHING
"""  # noqa: S608  names of our own

_GAMES: Final = f"""
INSERT INTO games (game_pk, season, game_date, game_type, home_team, away_team, simulated)
SELECT DISTINCT ON (game_pk) game_pk, game_year, game_date, game_type, home_team, away_team, simulated
FROM {_STAGED} ORDER BY game_pk
ON CONFLICT (game_pk) DO UPDATE SET
    season = excluded.season, game_date = excluded.game_date, game_type = excluded.game_type,
    home_team = excluded.home_team, away_team = excluded.away_team
WHERE (games.season, games.game_date, games.game_type, games.home_team, games.away_team)
    IS DISTINCT FROM
    (excluded.season, excluded.game_date, excluded.game_type, excluded.home_team, excluded.away_team)
"""  # noqa: S608  names of our own

_PLAYERS: Final = f"""
INSERT INTO players (player_id, name, simulated)
SELECT player_id, max(name), bool_or(simulated)
FROM (
    SELECT pitcher AS player_id, player_name AS name, simulated FROM {_STAGED}
    UNION
    SELECT batter, NULL, simulated FROM {_STAGED}
) AS men
GROUP BY player_id ORDER BY player_id
ON CONFLICT (player_id) DO UPDATE SET name = excluded.name
WHERE players.name IS NULL AND excluded.name IS NOT NULL
"""  # noqa: S608  names of our own

_VALUES: Final = tuple(name for name in NAMES if name not in _UNIQUE)

_PITCHES: Final = f"""
INSERT INTO pitches ({", ".join(NAMES)}, simulated)
SELECT {", ".join(NAMES)}, simulated FROM {_STAGED}
ON CONFLICT ({", ".join(_UNIQUE)}) DO UPDATE SET
    ({", ".join(_VALUES)}) = ROW ({", ".join(f"excluded.{name}" for name in _VALUES)})
WHERE ({", ".join(f"pitches.{name}" for name in _VALUES)})
    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _VALUES)})
"""  # noqa: S608  names of our own


@dataclass(frozen=True, kw_only=True)
class Upserted:
    """What became of rows: inserted or changed, or found as they were."""

    stored: int
    unchanged: int


async def upsert_pitches(connection: AsyncConnection, rows: pl.DataFrame, *, simulated: bool) -> Upserted:
    """Make these rows of the contract be what is stored, their games and players too, in the caller's transaction.

    Rows have distinct keys. A pitcher is known by the name on his rows, a batter by id alone until he pitches.
    """
    if rows.is_empty():
        return Upserted(stored=0, unchanged=0)
    labelled = rows.select(*NAMES, pl.lit(simulated).alias("simulated"))
    if await _all_new(connection, labelled):
        await _stage(connection, labelled.select(_OF_PLAYERS).unique())
        await connection.execute(text(_PLAYERS))
        await copy_in(connection, "pitches", labelled)
        return Upserted(stored=rows.height, unchanged=0)
    await _stage(connection, labelled)
    await connection.execute(text(_GAMES))
    await connection.execute(text(_PLAYERS))
    stored = (await connection.execute(text(_PITCHES))).rowcount
    return Upserted(stored=stored, unchanged=rows.height - stored)


async def _all_new(connection: AsyncConnection, rows: pl.DataFrame) -> bool:
    """Insert the games of some rows; tell whether none was there, so that no pitch can have been either.

    Whoever else brings one of these games waits until this transaction ends.
    """
    games = rows.select(_OF_GAMES).unique("game_pk", keep="first", maintain_order=True)
    await _stage(connection, games)
    inserted = (await connection.execute(text(_NEW_GAMES))).rowcount
    return bool(inserted == games.height)


async def _stage(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await connection.execute(text(f"DROP TABLE IF EXISTS {_STAGED}"))
    await connection.execute(text(_STAGE))
    await copy_in(connection, _STAGED, rows)


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
