"""Play a simulated day through ingest, half an inning at a time, every line of it labelled."""

import asyncio
from datetime import date

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.sources.simulator import simulated_day
from ondeck_ingest.taking import Taken, Unit, take

SOURCE = "simulator"

log = structlog.get_logger()


async def play(engine: AsyncEngine, day: date, seconds: float) -> Taken:
    """Play one game of a simulated day over about so many seconds; returns what became of its rows."""
    halves = list(simulated_day(day))
    total = Taken()
    for number, cells in enumerate(halves, 1):
        unit = Unit(source=SOURCE, name=f"{day}/{number:02d}", day=day, simulated=True)
        taken = await take(engine, unit, cells)
        total += taken
        inning = f"{cells['inning_topbot'][0]} {cells['inning'][0]}"
        log.info("half inning", simulated=True, day=str(day), inning=inning, rows=str(taken))
        await asyncio.sleep(seconds / len(halves))
    log.info("simulated day over", simulated=True, day=str(day), rows=str(total))
    return total
