"""Filter for players with the same name: context of the query excludes candidates or prefers some of them."""

from dataclasses import dataclass, replace
from datetime import date
from operator import eq
from typing import Final

from ondeck_core.players.appearances import PLAUSIBLE_SEASONS
from ondeck_core.players.models import Born, NameQuery, Player, Role
from ondeck_core.players.name_normalization import NormalizedName, fold_suffix
from ondeck_core.players.teams import franchise

MIN_DATE_MATCHES: Final = 2  # of year, month and day: registers differ in one more often than two players share two
_DATE_PARTS: Final = 3  # year, month and day
GENERATION: Final = 15  # years between a player and a namesake with Jr. at least
DESIGNATED_HITTER_SINCE: Final = 2022  # in both leagues: since then, who only pitches does not bat


@dataclass(frozen=True, kw_only=True)
class SameNameFilter:
    """The query context. With `use_other_seasons`, team and role of other seasons may decide."""

    name: NormalizedName
    query: NameQuery
    this_year: int
    use_other_seasons: bool = True

    def apply(self, candidates: list[Player]) -> list[Player]:
        """Return the candidates that are consistent with the query.

        Suffix and date of birth exclude players with another known value. Team and role are known from stored pitches
        only: they prefer the players with matching pitches, and keep those who may have played without stored pitches.
        """
        left = self._filter_by_birth(self._filter_by_suffix(candidates) if self.name.suffix else candidates)
        if self.query.team:
            left = self._prefer(left, replace(self.query, role=None))
        if self.query.role is not None:
            left = self._prefer(left, replace(self.query, team=""))
        return left

    def _filter_by_suffix(self, candidates: list[Player]) -> list[Player]:
        """Return the candidates with the suffix, else those of unknown suffix and the right generation."""
        asked = _unify_suffix(self.name.suffix)
        known = [_unify_suffix(fold_suffix(each.suffix)) for each in candidates]
        matching = [each for each, suffix in zip(candidates, known, strict=True) if suffix == asked]
        if matching:
            return matching
        unknown = [each for each, suffix in zip(candidates, known, strict=True) if not suffix]
        sign = -1 if asked == "sr" else 1
        return [each for each in unknown if not any(sign * _years_between(each, o) >= GENERATION for o in unknown)]

    def is_born_then(self, player: Player) -> bool:
        """Return whether the player is born on the day of the query, or on one that differs in one part."""
        born = self.query.born
        return born is not None and _best_date_match(player, born) >= MIN_DATE_MATCHES

    def _filter_by_birth(self, candidates: list[Player]) -> list[Player]:
        born = self.query.born
        if born is None:
            return candidates
        exact = [each for each in candidates if _best_date_match(each, born) == _DATE_PARTS]
        matching = exact or [each for each in candidates if self.is_born_then(each)]
        undated = [each for each in candidates if each.born[0] is None]
        if matching or not undated:
            return matching
        return candidates  # the date may be wrong in the query, so it excludes no one if a candidate has no date

    def _prefer(self, candidates: list[Player], query: NameQuery) -> list[Player]:
        matching = [each for each in candidates if _has_played(each, query)]
        if matching:
            return matching + [each for each in candidates if each not in matching and self._may_have_played(each)]
        if (
            not self.use_other_seasons
            or query.of_season is None
            or any(_has_played(each, NameQuery(name="", season=query.of_season)) for each in candidates)
        ):
            return candidates
        return self._prefer_by_other_seasons(candidates, replace(query, season=None, day=None)) or candidates

    def _prefer_by_other_seasons(self, candidates: list[Player], query: NameQuery) -> list[Player]:
        """Prefer by other seasons; used if no candidate has stored pitches in the season of the query.

        A role of other seasons is no proof where a player may have both: position players pitch, and pitchers batted.
        """
        matching = [each for each in candidates if _has_played(each, query)]
        is_proof = query.role is None or (query.role is Role.BATTER and self._is_since_designated_hitter)
        unseen = [each for each in candidates if not (each.played and is_proof) and self._may_have_played(each)]
        return matching + [each for each in unseen if each not in matching] if matching else []

    @property
    def _is_since_designated_hitter(self) -> bool:
        season = self.query.of_season
        return season is not None and season >= DESIGNATED_HITTER_SINCE

    def _may_have_played(self, player: Player) -> bool:
        """Return whether the player may have played in the season of the query without stored pitches."""
        season = self.query.of_season
        if season is not None:
            has_pitches = any(each.season == season for each in player.played)
            return not has_pitches and player.in_major_league_within(season, season)
        if player.played or player.major_league is None:
            return False
        return bool(player.spellings) or player.in_major_league_since(self.this_year - PLAUSIBLE_SEASONS)


def _years_between(one: Player, other: Player) -> int:
    """Return how many years later the other major leaguer was born; 0 if that is unknown."""
    if one.born[0] is None or other.born[0] is None or not (one.major_league and other.major_league):
        return 0
    return other.born[0] - one.born[0]


def _unify_suffix(suffix: str) -> str:
    return "jr" if suffix == "ii" else suffix  # some sources use one for the other


def _best_date_match(player: Player, queried: date) -> int:
    return max(_date_matches(born, queried) for born in (player.born, *player.also_born))


def _date_matches(born: Born, queried: date) -> int:
    year, month, day = born
    known = (year and year % 100, month, day)
    return sum(map(eq, known, (queried.year % 100, queried.month, queried.day)))


def _has_played(player: Player, query: NameQuery) -> bool:
    season, team = query.of_season, franchise(query.team)
    return any(
        season in {None, each.season} and (not team or franchise(each.team) == team) and query.role in {None, each.role}
        for each in player.played
    )
