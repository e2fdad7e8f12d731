"""Simulated rows, for whoever asks for just them."""

from datetime import date
from typing import Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.contract import NAMES, SCHEMA
from ondeck_store.driver import copy_out

_QUERY: Final = f"""
SELECT {", ".join(NAMES)} FROM pitches
WHERE simulated AND game_date = $1 AND game_year = date_part('year', $1::date) AND at_bat_number > $2
ORDER BY game_date, game_pk DESC, at_bat_number, pitch_number
"""  # noqa: S608  names of our own


async def read_simulated(connection: AsyncConnection, *, day: date, after_at_bat: int = 0) -> pl.DataFrame:
    """Read the simulated pitches of a day that belong to later at-bats, in the order of play."""
    return await copy_out(connection, _QUERY, (day, after_at_bat), SCHEMA)
