"""A subscriber of the simulated day: asks the running server about each taken pitch as it is stored."""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

import grpc
import polars as pl
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_client import AsyncClient, Pitch
from ondeck_store.simulated import read_simulated

POLL_SECONDS = 1.0
FIELDS = ("plate_x", "plate_z", "sz_top", "sz_bot", "release_speed", "pfx_x", "pfx_z", "balls", "strikes")


async def follow(engine: AsyncEngine, target: str, day: date, tell: Callable[[str], None]) -> None:
    """Follow a simulated day until cancelled, and tell for each part of it what the model made of it."""
    seen = 0
    async with AsyncClient(target) as client:
        while True:
            async with engine.connect() as connection:
                rows = await read_simulated(connection, day=day, after_at_bat=seen)
            if rows.height:
                seen = int(rows["at_bat_number"].to_list()[-1])
                tell(await _told(client, rows))
            await asyncio.sleep(POLL_SECONDS)


async def _told(client: AsyncClient, rows: pl.DataFrame) -> str:
    taken = rows.filter(pl.col("description").is_in(("ball", "called_strike")))
    asked = [(str(number), Pitch(**_known(row))) for number, row in enumerate(taken.iter_rows(named=True))]
    try:
        answers = [answer async for answer in client.stream("called_strike", asked)]
    except grpc.RpcError as failed:
        return f"the server did not answer: {failed}"
    expected = sum(answer.prediction.called_strike.strike_probability for answer in answers)
    called = taken.filter(pl.col("description") == "called_strike").height
    return (
        f"inning {rows['inning'][-1]}: {rows.height} pitches stored, {taken.height} taken; "
        f"{expected:.1f} strikes predicted, {called} called"
    )


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name in FIELDS if (value := row[name]) is not None}
