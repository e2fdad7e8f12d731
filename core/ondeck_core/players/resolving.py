"""Who is meant: found, with the rule that found him; ambiguous, with the candidates; or missing. Never a guess."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from ondeck_core.players.fitting import fitting
from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.people import Person
from ondeck_core.players.questions import ById, ByName
from ondeck_core.players.spelling import Spelling, spelled

SLACK: Final = 1  # seasons; registers know some men a year early or late
OF_LATE: Final = 3  # seasons before today's; without a date, men who have played since are meant ...
MEMORY: Final = 20  # ... unless a namesake has been in the major leagues within so many


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The one who is meant, and the rule that found him."""

    player: Person
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambiguous:
    """Several fit."""

    candidates: tuple[Person, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Nobody fits, as far as is known; `next_try` is when more will be."""

    next_try: datetime


Resolution = Found | Ambiguous | Missing


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """One resolver for everyone. `today` is the day of asking, `next_try` when the registers are read again."""

    index: PlayerIndex
    today: date
    next_try: datetime

    def by_id(self, asked: ById) -> Resolution:
        """Find a man by an id."""
        person = self.index.by_id(asked.system, asked.id)
        return self._missing() if person is None else Found(player=person, rule=f"{asked.system} id")

    def by_name(self, asked: ByName) -> Resolution:
        """Find a man by his name: as decided by hand, as a source spells it, as formally or shortly called.

        Whom the rest of the question rules out is left out before anyone is counted.
        """
        name = spelled(asked.name)
        if (person := self.index.decided(name)) is not None:
            return Found(player=person, rule="decided by hand")
        rule, bearers = self._bearers(name, asked)
        if (season := asked.of_season) is not None:
            active = [each for each in bearers if each.active(season - SLACK, season + SLACK)]
            return self._decide(active, f"{rule}, season")
        return self._of_any_time(bearers, rule)

    def _bearers(self, name: Spelling, asked: ByName) -> tuple[str, list[Person]]:
        spelled_so = fitting(self.index.so_spelled(name), name, asked)
        if any(each.has_played for each in spelled_so):
            return "spelling", spelled_so
        called_so = {each.player_id: each for each in fitting(self.index.also_so_called(name), name, asked)}
        return "first name", list({**{each.player_id: each for each in spelled_so}, **called_so}.values())

    def _of_any_time(self, bearers: Sequence[Person], rule: str) -> Resolution:
        """Without a date: the only bearer of a name, or the only one of late, unless another is well remembered."""
        first = self.today.year - OF_LATE
        of_late = [each for each in bearers if each.active(first, self.today.year)]
        remembered = [
            each
            for each in bearers
            if each not in of_late and (each.spellings or each.in_major_league_since(self.today.year - MEMORY))
        ]
        if len(of_late) == 1 < len(bearers) and not remembered:
            return Found(player=of_late[0], rule=f"{rule}, of late")
        return self._decide(bearers, rule)

    def _decide(self, left: Sequence[Person], rule: str) -> Resolution:
        if not left:
            return self._missing()
        if len(left) == 1:
            return Found(player=left[0], rule=rule)
        return Ambiguous(candidates=tuple(sorted(left, key=lambda person: person.player_id)))

    def _missing(self) -> Missing:
        return Missing(next_try=self.next_try)
