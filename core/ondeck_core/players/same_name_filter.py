"""Filter for players with the same name: context of the query excludes candidates or prefers some of them."""

from dataclasses import dataclass, replace
from typing import Final

from ondeck_core.players.models import Born, NameQuery, Player
from ondeck_core.players.name_normalization import NormalizedName, normalize
from ondeck_core.players.teams import franchise

MIN_DATE_MATCHES: Final = 2  # of year, month and day: registers differ in one more often than two players share two
PLAUSIBLE_SEASONS: Final = 20  # a player stays plausible for this many seasons after the last one in the major leagues


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
        left = self._filter_by_birth([each for each in candidates if self._matches_suffix(each)])
        if self.query.team:
            left = self._prefer(left, replace(self.query, role=None))
        if self.query.role is not None:
            left = self._prefer(left, replace(self.query, team=""))
        return left

    def _matches_suffix(self, player: Player) -> bool:
        known = _unify_suffix(normalize(f"x x {player.suffix}").suffix) if player.suffix else ""
        return not self.name.suffix or not known or _unify_suffix(self.name.suffix) == known

    def _filter_by_birth(self, candidates: list[Player]) -> list[Player]:
        born = self.query.born
        if born is None:
            return candidates
        queried = (born.year % 100, born.month, born.day)
        exact = [each for each in candidates if _best_date_match(each, queried) == len(queried)]
        matching = exact or [each for each in candidates if _best_date_match(each, queried) >= MIN_DATE_MATCHES]
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
        """Prefer by other seasons; used if no candidate has stored pitches in the season of the query."""
        matching = [each for each in candidates if _has_played(each, query)]
        unseen = [each for each in candidates if not each.played and self._may_have_played(each)]
        return matching + unseen if matching else []

    def _may_have_played(self, player: Player) -> bool:
        """Return whether the player may have played in the season of the query without stored pitches."""
        season = self.query.of_season
        if season is not None:
            has_pitches = any(each.season == season for each in player.played)
            return not has_pitches and player.in_major_league_within(season, season)
        if player.played or player.major_league is None:
            return False
        return bool(player.spellings) or player.in_major_league_since(self.this_year - PLAUSIBLE_SEASONS)


def _unify_suffix(suffix: str) -> str:
    return "jr" if suffix == "ii" else suffix  # some sources use one for the other


def _best_date_match(player: Player, queried: tuple[int, int, int]) -> int:
    return max(_date_matches(born, queried) for born in (player.born, *player.also_born))


def _date_matches(born: Born, queried: tuple[int, int, int]) -> int:
    year, month, day = born
    return sum(known == asked for known, asked in zip((year and year % 100, month, day), queried, strict=True))


def _has_played(player: Player, query: NameQuery) -> bool:
    season, team = query.of_season, franchise(query.team)
    return any(
        season in {None, each.season} and (not team or franchise(each.team) == team) and query.role in {None, each.role}
        for each in player.played
    )
