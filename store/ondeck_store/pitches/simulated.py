"""Simulated rows, for whoever asks for just them."""

from datetime import date
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.schema import NAMES, SCHEMA
from ondeck_store.copy import copy_out

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
