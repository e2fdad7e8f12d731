"""What is asked for again and again: a man's pitches, a game in order, a day.

Each query names its seasons, so that their partitions are read and no others.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.models import Role
from ondeck_core.statcast.schema import NAMES, SCHEMA
from ondeck_store.copy import copy_out

_SEASON: Final = "SELECT season FROM games WHERE game_pk = :game_pk"


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
