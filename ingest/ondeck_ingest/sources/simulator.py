"""The simulator as a source: random games by the rules of baseball, one half inning per request.

The rows have the columns of a Savant export, are labelled as simulated, stored with negative ids, and never train a
model.
"""

import asyncio
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import ClassVar, Final, TypeVar

import polars as pl

from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError

TEAMS: Final = ("SIM-A", "SIM-B")
GAME_TYPE: Final = "SIM"
INNINGS: Final = 9
GAMES_PER_DAY: Final = 100
_FIRST_ID: Final = 900_000_000
_HALF_PLATE: Final = 0.83
_ZONE: Final = (1.6, 3.4)
_LAST_EXTRA_INNING: Final = 30
_PITCHES: Final = (("FF", 94.0), ("SI", 93.0), ("SL", 85.0), ("CH", 86.0), ("CU", 79.0), ("FC", 89.0))
_HITS: Final = {"single": 1, "double": 2, "triple": 3, "home_run": 4}

_HEADER: Final = """
game_pk game_date game_year game_type at_bat_number pitch_number batter pitcher player_name stand p_throws inning
inning_topbot outs_when_up balls strikes home_team away_team description type events des pitch_type release_speed
plate_x plate_z pfx_x pfx_z sz_top sz_bot launch_speed launch_angle hc_x hc_y on_1b on_2b on_3b away_score home_score
"""
_COLUMNS: Final = tuple(_HEADER.split())

Cells = dict[str, str | None]
T = TypeVar("T")


def simulated_day(day: date, games: int = 1, seed: int = 0) -> Iterator[pl.DataFrame]:
    """Simulate a day of games, one frame per half inning; the same day and seed give the same rows."""
    for number in range(games):
        yield from simulated_game(day, number, seed)


def simulated_game(day: date, number: int, seed: int = 0) -> Iterator[pl.DataFrame]:
    """Simulate game `number` (from 0) of a day, one frame per half inning."""
    yield from _Game(day=day, number=number, dice=random.Random(f"{day}/{number}/{seed}")).halves()  # noqa: S311  dice, not secrets


def simulated_game_pk(day: date, number: int) -> int:
    """Return the negative id under which a simulated game of a day is stored."""
    return -(day.toordinal() * GAMES_PER_DAY + number)


@dataclass(kw_only=True)
class _Game:
    day: date
    number: int
    dice: random.Random
    score: list[int] = field(default_factory=lambda: [0, 0])
    next_up: list[int] = field(default_factory=lambda: [0, 0])
    at_bat: int = 0

    def halves(self) -> Iterator[pl.DataFrame]:
        for inning in range(1, _LAST_EXTRA_INNING):
            for batting in (0, 1):
                if inning >= INNINGS and batting == 1 and self.score[1] > self.score[0]:
                    return
                yield pl.DataFrame(list(self._half_inning(inning, batting)), schema=dict.fromkeys(_COLUMNS, pl.String))
            if inning >= INNINGS and self.score[0] != self.score[1]:
                return

    def _half_inning(self, inning: int, batting: int) -> Iterator[Cells]:
        outs, bases = 0, [0, 0, 0]
        while outs < 3:  # noqa: PLR2004  three outs
            self.at_bat += 1
            batter = self._player_id(batting, self.next_up[batting])
            self.next_up[batting] = (self.next_up[batting] + 1) % 9
            events = ""
            for pitch in self._plate_appearance():
                events = pitch["events"] or ""
                yield pitch | self._situation(inning, batting, batter, outs, bases)
            outs += events in {"strikeout", "field_out"}
            advance = _HITS.get(events, 1 if events == "walk" else 0)
            self.score[batting] += _move(bases, batter, advance, forced=events == "walk")
            if inning >= INNINGS and batting == 1 and self.score[1] > self.score[0]:
                return

    def _plate_appearance(self) -> Iterator[Cells]:
        balls, strikes, number, stand = 0, 0, 0, self.dice.choice("LR")
        while True:
            number += 1
            flight = self._flight()
            call, contact = self._call(flight)
            count = {"pitch_number": str(number), "balls": str(balls), "strikes": str(strikes), "stand": stand}
            balls += call == "ball"
            strikes += call in {"called_strike", "swinging_strike"} or (call == "foul" and strikes < 2)  # noqa: PLR2004  a foul is no third strike
            events = contact.get("events") or _ending(balls, strikes)
            kind = {"ball": "B", "hit_into_play": "X"}.get(call, "S")
            yield {**flight, **contact, **count, "description": call, "type": kind, "events": events}
            if events:
                return

    def _flight(self) -> Cells:
        kind, speed = self.dice.choice(_PITCHES)
        return {
            "pitch_type": kind,
            "release_speed": f"{self.dice.gauss(speed, 1.5):.1f}",
            "plate_x": f"{self.dice.gauss(0, 0.85):.2f}",
            "plate_z": f"{self.dice.gauss(2.4, 0.85):.2f}",
            "pfx_x": f"{self.dice.gauss(0, 0.7):.2f}",
            "pfx_z": f"{self.dice.gauss(0.7, 0.6):.2f}",
            "sz_top": f"{_ZONE[1]}",
            "sz_bot": f"{_ZONE[0]}",
        }

    def _call(self, flight: Cells) -> tuple[str, Cells]:
        across, height = float(flight["plate_x"] or 0), float(flight["plate_z"] or 0)
        inside = abs(across) <= _HALF_PLATE and _ZONE[0] <= height <= _ZONE[1]
        if self.dice.random() > (0.68 if inside else 0.28):
            return ("called_strike" if inside else "ball"), {}
        swing = self.dice.random()
        if swing < (0.16 if inside else 0.4):
            return "swinging_strike", {}
        return ("foul", {}) if swing < 0.62 else ("hit_into_play", self._contact())  # noqa: PLR2004  a probability

    def _contact(self) -> Cells:
        events = self.dice.choices(["field_out", *_HITS], [67, 21, 7, 1, 4])[0]
        angle, speed = (26, 104) if events == "home_run" else (12, 88)
        return {
            "events": events,
            "launch_speed": f"{min(118.0, max(20.0, self.dice.gauss(speed, 10))):.1f}",
            "launch_angle": f"{max(-80, min(80, round(self.dice.gauss(angle, 12))))}",
            "hc_x": f"{self.dice.gauss(125, 40):.2f}",
            "hc_y": f"{self.dice.uniform(40, 170):.2f}",
        }

    def _situation(self, inning: int, batting: int, batter: int, outs: int, bases: list[int]) -> Cells:
        pitcher = self._player_id(1 - batting, 9)
        return {
            "game_pk": str(-simulated_game_pk(self.day, self.number)),
            "game_date": self.day.isoformat(),
            "game_year": str(self.day.year),
            "game_type": GAME_TYPE,
            "at_bat_number": str(self.at_bat),
            "batter": str(batter),
            "pitcher": str(pitcher),
            "player_name": f"Simulated, Pitcher {pitcher}",
            "p_throws": "R" if pitcher % 2 else "L",
            "inning": str(inning),
            "inning_topbot": ("Top", "Bot")[batting],
            "outs_when_up": str(outs),
            "home_team": TEAMS[1],
            "away_team": TEAMS[0],
            **{f"on_{base}b": str(runner) if runner else None for base, runner in enumerate(bases, 1)},
            "away_score": str(self.score[0]),
            "home_score": str(self.score[1]),
            "des": "simulated",
        }

    def _player_id(self, team: int, place: int) -> int:
        return _FIRST_ID + self.number * 100 + team * 10 + place


def _ending(balls: int, strikes: int) -> str | None:
    if balls == 4:  # noqa: PLR2004  the rules
        return "walk"
    return "strikeout" if strikes == 3 else None  # noqa: PLR2004  the rules


def _move(bases: list[int], batter: int, advance: int, *, forced: bool) -> int:
    """Move the runners in place, by `advance` bases or as a walk forces them; returns the runs scored."""
    if not advance:
        return 0
    if forced and 0 in bases:
        empty = bases.index(0)
        bases[: empty + 1] = [batter, *bases[:empty]]
        return 0
    line = [0] * (advance - 1) + [batter, *bases] if not forced else [batter, *bases]
    bases[:] = [*line, 0, 0, 0][:3]
    return sum(runner > 0 for runner in line[3:])


@dataclass(frozen=True, kw_only=True)
class SimulatedSource:
    """Simulates one game of a day; the same request gives the same bytes."""

    game: int = 0
    name: ClassVar[str] = "simulator"
    is_remote: ClassVar[bool] = False
    is_simulated: ClassVar[bool] = True

    async def fetch(self, request: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        """Pass the CSV of a half inning to `read`.

        Raises:
            SourceUnreachableError: the game has no such half inning.
        """
        for half in play_half_innings(request.day, self.game) if request.day else ():
            if half.request == request:
                raw = RawResponse(unit=request.name, content=half.content, fetched_at=datetime.now(UTC))
                return await asyncio.to_thread(read, raw)
        raise SourceUnreachableError(f"no simulated half inning is called {request.name}")


@dataclass(frozen=True, kw_only=True)
class HalfInning:
    """A half inning: its request ("<day>/<game>/<number>"), its name in messages ("Top 1"), its rows as CSV."""

    request: SourceRequest
    inning: str
    content: bytes


@lru_cache(maxsize=1)
def play_half_innings(day: date, game: int = 0) -> tuple[HalfInning, ...]:
    """Simulate a game and return its half innings."""
    return tuple(_half_inning(day, game, number, cells) for number, cells in enumerate(simulated_game(day, game), 1))


def _half_inning(day: date, game: int, number: int, cells: pl.DataFrame) -> HalfInning:
    out = io.BytesIO()
    cells.write_csv(out)
    inning = f"{cells['inning_topbot'][0]} {cells['inning'][0]}"
    return HalfInning(
        request=SourceRequest(name=f"{day}/{game}/{number:02d}", day=day), inning=inning, content=out.getvalue()
    )
