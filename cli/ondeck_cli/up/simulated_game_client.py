"""A demo client of the simulated game: requests a prediction for each taken pitch as soon as it is stored."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import polars as pl
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_client import AsyncClient, Pitch
from ondeck_core.instances import PITCH
from ondeck_core.task_rows import build_instances, population
from ondeck_core.tasks import CALLED_STRIKE_TASK
from ondeck_ingest.sources.simulator import simulated_game_pk
from ondeck_store.pitches.queries import read_simulated, simulated_games

POLL_SECONDS: Final = 1.0


async def next_simulated_game(engine: AsyncEngine) -> int:
    """Return the game_pk of the game that the next simulation of today stores."""
    day = datetime.now(UTC).date()
    async with engine.connect() as connection:
        return simulated_game_pk(day, await simulated_games(connection, day))


async def follow_game(engine: AsyncEngine, target: str, game_pk: int, report: Callable[[str], None]) -> None:
    """Poll a simulated game until cancelled; report expected and called strikes of each new part of it."""
    last_at_bat = 0
    async with AsyncClient(target) as client:
        while True:
            try:
                async with engine.connect() as connection:
                    rows = await read_simulated(connection, game_pk=game_pk, after_at_bat=last_at_bat)
                if rows.height:
                    report(await _summarize(client, rows))
                    last_at_bat = int(rows["at_bat_number"][-1])
            except (grpc.RpcError, SQLAlchemyError, OSError) as error:
                report(f"retrying after an error: {error}")
            await asyncio.sleep(POLL_SECONDS)


async def _summarize(client: AsyncClient, rows: pl.DataFrame) -> str:
    taken = rows.filter(population(CALLED_STRIKE_TASK))
    requests = [(str(number), pitch) for number, pitch in enumerate(_pitches_of(taken))]
    answers = [answer async for answer in client.stream(CALLED_STRIKE_TASK.name, requests)]
    expected = sum(answer.prediction.called_strike.strike_probability for answer in answers)
    called = taken.filter(pl.col("description") == "called_strike").height
    return (
        f"inning {rows['inning'][-1]}: {rows.height} pitches stored, {taken.height} taken; "
        f"{expected:.1f} strikes predicted, {called} called"
    )


def _pitches_of(rows: pl.DataFrame) -> list[Pitch]:
    """Convert stored pitches as the trainer does; unknown fields stay unset."""
    return [Pitch(**_known_fields(values)) for values in build_instances(rows, PITCH).tolist()]


def _known_fields(values: list[float]) -> dict[str, Any]:
    known = ((field, value) for field, value in zip(PITCH.fields, values, strict=True) if not math.isnan(value))
    return {field.name: int(value) if field.integer or field.codes else value for field, value in known}
