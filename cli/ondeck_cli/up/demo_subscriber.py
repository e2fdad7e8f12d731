"""A subscriber of the simulated game: asks the running server about each taken pitch as it is stored."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

import grpc
import polars as pl
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_client import AsyncClient, Pitch
from ondeck_core.instances import PITCH
from ondeck_core.statcast.instances import instances_of
from ondeck_core.tasks import CALLED_STRIKE_TASK
from ondeck_store.pitches.queries import read_simulated

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
    asked = [(str(number), pitch) for number, pitch in enumerate(pitches_of(taken))]
    answers = [answer async for answer in client.stream(CALLED_STRIKE_TASK.name, asked)]
    expected = sum(answer.prediction.called_strike.strike_probability for answer in answers)
    called = taken.filter(pl.col("description") == "called_strike").height
    return (
        f"inning {rows['inning'][-1]}: {rows.height} pitches stored, {taken.height} taken; "
        f"{expected:.1f} strikes predicted, {called} called"
    )


def pitches_of(rows: pl.DataFrame) -> list[Pitch]:
    """Ask about stored pitches as the trainers learn from them; what is not known stays unset."""
    return [Pitch(**_given(values)) for values in instances_of(rows, PITCH).tolist()]


def _given(values: list[float]) -> dict[str, Any]:
    known = ((field, value) for field, value in zip(PITCH.fields, values, strict=True) if not math.isnan(value))
    return {field.name: int(value) if field.whole or field.codes else value for field, value in known}
