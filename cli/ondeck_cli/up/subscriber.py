"""A subscriber of the simulated game: asks the running server about each taken pitch as it is stored."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import polars as pl
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_client import AsyncClient, Pitch
from ondeck_core.instances import PITCH
from ondeck_core.tasks import CALLED_STRIKE_TASK
from ondeck_store.simulated import read_simulated

POLL_SECONDS: Final = 1.0


async def follow(engine: AsyncEngine, target: str, game_pk: int, tell: Callable[[str], None]) -> None:
    """Follow a simulated game until cancelled, and tell for each part of it what the model made of it."""
    seen = 0
    async with AsyncClient(target) as client:
        while True:
            try:
                async with engine.connect() as connection:
                    rows = await read_simulated(connection, game_pk=game_pk, after_at_bat=seen)
                if rows.height:
                    tell(await _told(client, rows))
                    seen = int(rows["at_bat_number"][-1])
            except (grpc.RpcError, SQLAlchemyError, OSError) as trouble:
                tell(f"trying again: {trouble}")
            await asyncio.sleep(POLL_SECONDS)


async def _told(client: AsyncClient, rows: pl.DataFrame) -> str:
    taken = rows.filter(CALLED_STRIKE_TASK.population)
    asked = [(str(number), as_pitch(row)) for number, row in enumerate(taken.iter_rows(named=True))]
    answers = [answer async for answer in client.stream(CALLED_STRIKE_TASK.name, asked)]
    expected = sum(answer.prediction.called_strike.strike_probability for answer in answers)
    called = taken.filter(pl.col("description") == "called_strike").height
    return (
        f"inning {rows['inning'][-1]}: {rows.height} pitches stored, {taken.height} taken; "
        f"{expected:.1f} strikes predicted, {called} called"
    )


def as_pitch(row: dict[str, Any]) -> Pitch:
    """Ask about a stored pitch: Statcast's names are the contract's; what is empty stays unset."""
    known = {field: row[field.name] for field in PITCH.fields if row[field.name] is not None}
    given: dict[str, Any] = {
        field.name: value if field.codes is None else field.codes.__members__.get(value, 0)
        for field, value in known.items()
    }
    return Pitch(**given)
