"""Which of several men a question may mean: what contradicts it rules out, what confirms it prefers."""

from dataclasses import dataclass, replace
from typing import Final

from ondeck_core.players.models import Born, NameQuery, Player
from ondeck_core.players.name_normalization import NormalizedName, normalize
from ondeck_core.players.teams import franchise

AGREEING: Final = 2  # of year, month and day; registers differ in one more often than two men share two
MEMORY: Final = 20  # seasons for which a man of the major leagues is well remembered


@dataclass(frozen=True, kw_only=True)
class CandidateFilter:
    """What is asked about a name, and in which year; `by_other_seasons`: a team and a role of these may decide."""

    name: NormalizedName
    asked: NameQuery
    this_year: int
    by_other_seasons: bool = True

    def of(self, candidates: list[Player]) -> list[Player]:
        """Keep those whom the question may mean.

        A suffix or a date of birth rules out whoever is known to have another. Team and role are known of those men
        alone who stand in stored pitches: they prefer these, and whoever may have played without a pitch of his being
        stored.
        """
        left = self._born_then([each for each in candidates if self._has_suffix(each)])
        if self.asked.team:
            left = self._preferred(left, replace(self.asked, role=None))
        if self.asked.role is not None:
            left = self._preferred(left, replace(self.asked, team=""))
        return left

    def _has_suffix(self, person: Player) -> bool:
        known = _suffix(normalize(f"x x {person.suffix}").suffix) if person.suffix else ""
        return not self.name.suffix or not known or _suffix(self.name.suffix) == known

    def _born_then(self, candidates: list[Player]) -> list[Player]:
        born = self.asked.born
        if born is None:
            return candidates
        then = (born.year % 100, born.month, born.day)
        exact = [each for each in candidates if _agreement(each, then) == len(then)]
        agreeing = exact or [each for each in candidates if _agreement(each, then) >= AGREEING]
        undated = [each for each in candidates if each.born[0] is None]
        if agreeing or not undated:
            return agreeing
        return candidates  # one who is known to be born on another day may still be the one who is meant

    def _preferred(self, candidates: list[Player], asked: NameQuery) -> list[Player]:
        fits = [each for each in candidates if _played(each, asked)]
        if fits:
            return fits + [each for each in candidates if each not in fits and self._may_have(each)]
        if (
            not self.by_other_seasons
            or asked.of_season is None
            or any(_played(each, NameQuery(name="", season=asked.of_season)) for each in candidates)
        ):
            return candidates
        return self._preferred_of_other_seasons(candidates, replace(asked, season=None, day=None)) or candidates

    def _preferred_of_other_seasons(self, candidates: list[Player], asked: NameQuery) -> list[Player]:
        """Prefer by other seasons than the one that is asked about, of which nothing is stored of any candidate."""
        fits = [each for each in candidates if _played(each, asked)]
        unseen = [each for each in candidates if not each.played and self._may_have(each)]
        return fits + unseen if fits else []

    def _may_have(self, person: Player) -> bool:
        """Tell whether a man may well have played then, though nothing of it is stored."""
        season = self.asked.of_season
        if season is not None:
            return not _stored(person, season) and person.in_major_league_within(season, season)
        if person.played or person.major_league is None:
            return False
        return bool(person.spellings) or person.in_major_league_since(self.this_year - MEMORY)


def _suffix(suffix: str) -> str:
    return "jr" if suffix == "ii" else suffix  # not every source tells them apart


def _agreement(person: Player, then: tuple[int, int, int]) -> int:
    return max(_agreeing(born, then) for born in (person.born, *person.also_born))


def _agreeing(born: Born, then: tuple[int, int, int]) -> int:
    year, month, day = born
    return sum(known == asked for known, asked in zip((year and year % 100, month, day), then, strict=True))


def _stored(person: Player, season: int) -> bool:
    return any(each.season == season for each in person.played)


def _played(person: Player, asked: NameQuery) -> bool:
    season, team = asked.of_season, franchise(asked.team)
    return any(
        season in {None, each.season} and (not team or franchise(each.team) == team) and asked.role in {None, each.role}
        for each in person.played
    )
