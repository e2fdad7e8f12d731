"""The simulator as a source: half an inning of a made-up game at a time, named by its day, its game and its number."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import ClassVar, TypeVar

import polars as pl

from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError
from ondeck_ingest.sources.simulator import simulated_game

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SimulatedSource:
    """Makes up the rows of one game of a day, the first being number 0; the same name gives the same bytes."""

    game: int = 0
    name: ClassVar[str] = "simulator"
    remote: ClassVar[bool] = False
    simulated: ClassVar[bool] = True

    def fetch(self, wanted: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        """Hand over the half inning, as an export would hold it."""
        for each in halves_of(wanted.day, self.game) if wanted.day else ():
            if each.wanted == wanted:
                return read(RawResponse(unit=wanted.name, content=each.content, fetched_at=datetime.now(UTC)))
        raise SourceUnreachableError(f"nobody plays {wanted.name}")


@dataclass(frozen=True, kw_only=True)
class HalfInning:
    """Half an inning: what it is called for a source and for people, and its rows as CSV."""

    wanted: SourceRequest
    inning: str
    content: bytes


@lru_cache(maxsize=1)
def halves_of(day: date, game: int = 0) -> tuple[HalfInning, ...]:
    """Play one game of a day."""
    return tuple(_half(day, game, number, cells) for number, cells in enumerate(simulated_game(day, game), 1))


def _half(day: date, game: int, number: int, cells: pl.DataFrame) -> HalfInning:
    out = io.BytesIO()
    cells.write_csv(out)
    inning = f"{cells['inning_topbot'][0]} {cells['inning'][0]}"
    return HalfInning(
        wanted=SourceRequest(name=f"{day}/{game}/{number:02d}", day=day), inning=inning, content=out.getvalue()
    )
