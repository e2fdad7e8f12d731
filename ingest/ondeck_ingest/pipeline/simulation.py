"""Play a simulated game through ingest, half an inning at a time, every line of it labelled."""

import asyncio
from datetime import date
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.sources.simulated_source import SimulatedSource, halves_of
from ondeck_store.pitches.queries import simulated_games

log = structlog.get_logger()


async def play(engine: AsyncEngine, day: date, seconds: float) -> LoadCounts:
    """Play the next game of a simulated day over about so many seconds; returns what became of its rows."""
    async with engine.connect() as connection:
        game = await simulated_games(connection, day)
    taker = Ingestor(engine=engine, source=SimulatedSource(game=game), home=Path())
    halves = halves_of(day, game)
    total = LoadCounts()
    for half in halves:
        taken = await taker.take(half.wanted)
        total += taken
        log.info("half inning", simulated=True, day=str(day), inning=half.inning, rows=str(taken))
        await asyncio.sleep(seconds / len(halves))
    log.info("simulated game over", simulated=True, day=str(day), rows=str(total))
    return total
