"""Who is meant: found, with the rule that found him; ambiguous, with the candidates; or missing. Never a guess."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

from ondeck_core.players.candidate_filter import MEMORY, CandidateFilter
from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import IdQuery, NameQuery, Player
from ondeck_core.players.name_normalization import NormalizedName, normalize
from ondeck_core.players.teams import ABBREVIATIONS

SEASON_TOLERANCE: Final = 1  # seasons; a register may list a player a year early or late
RECENT_SEASONS: Final = 3  # seasons before today's; without a date, players of these seasons are preferred ...
# ... unless a namesake has been in the major leagues within MEMORY
STILL_LISTED: Final = 5  # seasons for which lists carry a man who has left the major leagues
_INNER_CAPITAL: Final = re.compile(r"[a-z][A-Z]")

Others = Callable[[], list[Player]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The one who is meant, and the rule that found him."""

    player: Player
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambiguous:
    """Several fit."""

    candidates: tuple[Player, ...]


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

    def by_id(self, asked: IdQuery) -> Resolution:
        """Find a man by an id."""
        person = self.index.by_id(asked.system, asked.id)
        return self._missing() if person is None else Found(player=person, rule=f"{asked.system} id")

    def by_name(self, asked: NameQuery) -> Resolution:
        """Find a man by his name: as decided by hand, as a source spells it, as formally or shortly called.

        Whom the rest of the question rules out is left out before anyone is counted. Only where nobody is found is the
        name read without what may be remarks: a team, a position, a number.
        """
        name = normalize(asked.name)
        answer = self._named(name, asked)
        if isinstance(answer, Missing) and (bare := without_remarks(name)) != name:
            return self._named(bare, asked)
        return answer

    def _named(self, name: NormalizedName, asked: NameQuery) -> Resolution:
        if (person := self.index.decided(name)) is not None and self._is_not_contradicted(person, name, asked):
            return Found(player=person, rule="decided by hand")
        if len(name.words) > 1 and len(name.words[0]) == 1:
            fitting = CandidateFilter(name=name, asked=asked, this_year=self.today.year, by_other_seasons=False)
            return self._then_or_of_late(fitting.of(self.index.with_initial(name)), asked.of_season, "initial")
        fitting = CandidateFilter(name=name, asked=asked, this_year=self.today.year)
        so_spelled = fitting.of(self._so_spelled(name, asked.name))
        others = partial(self._written_otherwise, fitting, so_spelled)
        if (season := asked.of_season) is not None:
            return self._of_season(so_spelled, others, season)
        return self._of_any_time(so_spelled, others)

    def _is_not_contradicted(self, person: Player, name: NormalizedName, asked: NameQuery) -> bool:
        bare = replace(asked, team="", role=None)
        fits = CandidateFilter(name=name, asked=bare, this_year=self.today.year).of([person])
        return bool(fits) and (asked.of_season is None or _active(person, asked.of_season))

    def _so_spelled(self, name: NormalizedName, text: str) -> list[Player]:
        found = self.index.so_spelled(name)
        if len(name.words) > 1 or _INNER_CAPITAL.search(text):
            return found
        return [each for each in found if any(normalize(known).words == name.words for known in each.spellings)]

    def _written_otherwise(self, fitting: CandidateFilter, so_spelled: Sequence[Player]) -> list[Player]:
        """Find those who are so called formally or for short, or so written by tools that drop letters."""
        name = fitting.name
        called = [] if name.lossy else self.index.also_so_called(name)
        left = [] if so_spelled else self.index.with_letters_lost(name)
        found = {each.player_id: each for each in fitting.of([*called, *left]) if each not in so_spelled}
        return list(found.values())

    def _of_season(self, so_spelled: Sequence[Player], others: Others, season: int) -> Resolution:
        active = [each for each in so_spelled if _active(each, season)]
        if not active:
            return self._decide([each for each in others() if _active(each, season)], "first name, season")
        if len(active) == 1:
            active += self._who_may_be_meant_instead(active[0], so_spelled, others, season)
        return self._decide(active, "spelling, season")

    def _who_may_be_meant_instead(
        self, only: Player, so_spelled: Sequence[Player], others: Others, season: int
    ) -> list[Player]:
        """Find men of the major leagues beside one who is none of them then: who is listed still, or called so."""
        found: list[Player] = []
        if only.major_league is None:
            found += [each for each in so_spelled if each.in_major_league_within(season - STILL_LISTED, season)]
        if not only.in_major_league_within(season, season):
            found += [
                each
                for each in others()
                if each.in_major_league_within(season - SEASON_TOLERANCE, season + SEASON_TOLERANCE)
            ]
        return [each for each in found if each is not only]

    def _of_any_time(self, so_spelled: Sequence[Player], others: Others) -> Resolution:
        if not any(each.has_played for each in so_spelled):
            return self._of_late([*so_spelled, *others()], "first name")
        answer = self._of_late(so_spelled, "spelling")
        late = (self.today.year - RECENT_SEASONS, self.today.year)
        if not isinstance(answer, Found) or any(each.in_major_league_within(*late) for each in so_spelled):
            return answer
        called = [each for each in others() if each.in_major_league_within(*late)]
        return self._decide([answer.player, *called], answer.rule)

    def _then_or_of_late(self, bearers: Sequence[Player], season: int | None, rule: str) -> Resolution:
        if season is None:
            return self._of_late(bearers, rule)
        return self._decide([each for each in bearers if _active(each, season)], f"{rule}, season")

    def _of_late(self, bearers: Sequence[Player], rule: str) -> Resolution:
        """Without a date: the only bearer of a name, or the only one of late, unless another is well remembered."""
        first = self.today.year - RECENT_SEASONS
        of_late = [each for each in bearers if each.active(first, self.today.year)]
        remembered = [
            each
            for each in bearers
            if each not in of_late and (each.spellings or each.in_major_league_since(self.today.year - MEMORY))
        ]
        if len(of_late) == 1 < len(bearers) and not remembered:
            return Found(player=of_late[0], rule=f"{rule}, of late")
        return self._decide(bearers, rule)

    def _decide(self, left: Sequence[Player], rule: str) -> Resolution:
        if not left:
            return self._missing()
        if len(left) == 1:
            return Found(player=left[0], rule=rule)
        return Ambiguous(candidates=tuple(sorted(left, key=lambda person: person.player_id)))

    def _missing(self) -> Missing:
        return Missing(next_try=self.next_try)


def _active(person: Player, season: int) -> bool:
    return person.active(season - SEASON_TOLERANCE, season + SEASON_TOLERANCE)


_POSITIONS: Final = frozenset(
    ["p", "sp", "rp", "cl", "c", "1b", "2b", "3b", "ss", "lf", "cf", "rf", "of", "dh", "if", "ut"]
)
_REMARKS: Final = _POSITIONS | ABBREVIATIONS
_FEWEST_WORDS: Final = 2


def without_remarks(name: NormalizedName) -> NormalizedName:
    """Leave out words that may be remarks, as long as a first and a last name are left."""
    words = list(name.words)
    while len(words) > _FEWEST_WORDS and words[-1] in _REMARKS:
        words.pop()
    while len(words) > _FEWEST_WORDS and (words[0] in _REMARKS or words[0].isdigit()):
        words.pop(0)
    for word in words[1:-1]:
        if word in _REMARKS and len(word) > 1 and len(words) > _FEWEST_WORDS:  # "Last, First, SP"; an initial is none
            words.remove(word)
    return replace(name, words=tuple(words))
