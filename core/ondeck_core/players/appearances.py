"""Evidence of where candidates of one name played: in the season of a query, or of late if it has none.

A major leaguer of that time outweighs a namesake of the minor leagues, unless the query asks for any league; stored
pitches of the season outweigh what registers list, if the season is stored in whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from ondeck_core.players.models import League, Player, Role
from ondeck_core.players.teams import MAJOR_LEAGUE_TEAMS, franchise

SEASON_TOLERANCE: Final = 1  # a register may list a player a season early or late
LISTED_SEASONS: Final = 5  # lists contain a player for this many seasons after the last one in the major leagues
RECENT_SEASONS: Final = 3  # a query without a date prefers players of these seasons before today's ...
FORMER_SEASONS: Final = 15  # ... and major leaguers of late to those who left the major leagues before these; ...
PLAUSIBLE_SEASONS: Final = 20  # ... where there is none of late, major leaguers of these seasons are as plausible


class Appearance(IntEnum):
    """Where a player played at the time of a query; a higher value outweighs a lower one."""

    NONE = 0
    PROFESSIONAL = 1
    FORMER_MAJOR = 2
    MAJOR = 3
    STORED = 4


@dataclass(frozen=True, kw_only=True)
class Evidence(ABC):
    """Evidence of the time of a query, the seasons from `first` to `last`."""

    first: int
    last: int
    league: League
    register_season: int  # the last one in which registers have players in the major leagues

    @abstractmethod
    def of(self, player: Player) -> Appearance:
        """Return where the player played at the time."""

    @abstractmethod
    def lead(self, candidates: Sequence[Player]) -> list[Player]:
        """Return the candidates whom no other one outweighs."""

    @abstractmethod
    def still_listed(self, leader: Player, candidates: Sequence[Player]) -> list[Player]:
        """Return the former major leaguers whom lists of the time may contain in place of the leader."""

    @abstractmethod
    def near_majors(self, variants: Sequence[Player], leaders: Sequence[Player]) -> list[Player]:
        """Return the players of variants of the name who are as probable as the leaders."""

    @abstractmethod
    def outweighs(self, variants: Sequence[Player], leaders: Sequence[Player], role: Role | None) -> bool:
        """Return whether it is certain that a player of a variant of the name is the one, not one of the name."""

    @abstractmethod
    def rule(self, kind: str, leaders: Sequence[Player], candidates: Sequence[Player]) -> str:
        """Return the rule by which these candidates lead; `kind` is how the name matches."""

    def is_known_major(self, player: Player) -> bool:
        """Return whether a register has the player in the major leagues at the time."""
        return player.in_major_league_within(self.first, self.last)

    def is_stored(self, player: Player) -> bool:
        """Return whether pitches of the player for a major league team are stored at the time."""
        return any(
            self.first <= each.season <= self.last and franchise(each.team) in MAJOR_LEAGUE_TEAMS
            for each in player.played
        )

    def is_stored_major(self, player: Player) -> bool:
        """Return whether stored pitches show that the player may be the one beside a major leaguer.

        Stored pitches of spring training have players who never were in the major leagues. Those count only if a source
        besides the register writes their name, as Savant does for pitchers, or if the register may be too old.
        """
        if not player.played or not self.is_stored(player):
            return False
        is_known = player.major_league is not None or bool(player.spellings)
        return is_known or any(self.register_season <= each.season <= self.last for each in player.played)

    def rank(self, player: Player) -> tuple[int, int, int]:
        """Return a key that sorts the most probable player first."""
        return -self.of(player), -(player.major_league[1] if player.major_league else 0), player.player_id

    def describe(self, player: Player) -> str:
        """Return the evidence for a player as text."""
        seasons = [each for each in player.played if self.first <= each.season <= self.last]
        stored = sorted({f"{each.team} {each.season} as {each.role.value}" for each in seasons})
        return "; ".join(
            (
                f"major leagues {_span(player.major_league)}" if player.major_league else "never in the major leagues",
                f"professional {_span(player.professional)}" if player.professional else "no known season",
                f"stored pitches for {', '.join(stored)}" if stored else "no stored pitches",
            )
        )


@dataclass(frozen=True, kw_only=True)
class SeasonEvidence(Evidence):
    """Evidence of one season.

    `is_whole`: the pitches of nearly all its major leaguers are stored; `is_role_whole`: in the role of the query.
    """

    is_whole: bool
    is_role_whole: bool

    @property
    def is_final(self) -> bool:
        """Whether registers have all major leaguers of the season."""
        return self.first < self.register_season

    def of(self, player: Player) -> Appearance:
        """Return where the player played in the season.

        FORMER_MAJOR is a major leaguer of the season before, or a player of spring training. One of this season without
        stored pitches is the same, if the season is stored in whole for the role of the query; in a season after the
        register's last one, either may be in the major leagues.
        """
        season = self.first
        if self.is_stored_major(player):
            return Appearance.STORED
        if player.in_major_league_within(season, season):
            return Appearance.FORMER_MAJOR if self.is_role_whole else Appearance.MAJOR
        if player.in_major_league_within(season - 1, season - 1):
            return Appearance.FORMER_MAJOR if self.is_role_whole or self.is_final else Appearance.MAJOR
        if self.is_stored(player):
            return Appearance.FORMER_MAJOR
        if player.active(season - SEASON_TOLERANCE, season + SEASON_TOLERANCE):
            return Appearance.PROFESSIONAL
        return Appearance.NONE

    def lead(self, candidates: Sequence[Player]) -> list[Player]:
        """Return the candidates whom no other one outweighs, of those who played.

        Who only played in the minor leagues does not lead where register and stored pitches have the whole season.
        """
        found = [(self.of(each), each) for each in candidates]
        top = max((appearance for appearance, _ in found), default=Appearance.NONE)
        least = Appearance.MAJOR if top is Appearance.STORED and not self.is_role_whole else top
        if self.league is League.ANY:
            least = Appearance.PROFESSIONAL
        elif self.is_whole and self.is_final:
            least = max(least, Appearance.FORMER_MAJOR)
        return [each for appearance, each in found if appearance >= max(least, Appearance.PROFESSIONAL)]

    def still_listed(self, leader: Player, candidates: Sequence[Player]) -> list[Player]:
        """Return the major leaguers of the last seasons, if the leader never was one and is not stored."""
        if leader.major_league is not None or self.is_stored(leader):
            return []
        return [each for each in candidates if each.in_major_league_within(self.first - LISTED_SEASONS, self.last)]

    def near_majors(self, variants: Sequence[Player], leaders: Sequence[Player]) -> list[Player]:
        """Return the players with major league seasons at most one season off."""
        del leaders
        span = (self.first - SEASON_TOLERANCE, self.last + SEASON_TOLERANCE)
        return [each for each in variants if each.in_major_league_within(*span)]

    def outweighs(self, variants: Sequence[Player], leaders: Sequence[Player], role: Role | None) -> bool:
        """Return whether season and role, or a season that is stored in whole, speak for the players of variants alone.

        The role does for a major leaguer of the season who has stored pitches in it, if no leader ever was one.
        """
        if any(map(self.is_stored, leaders)):
            return False
        if self.is_whole and any(map(self.is_stored, variants)):
            return True
        is_beside_minor = role is not None and not any(each.major_league for each in leaders)
        return is_beside_minor and any(
            self.is_known_major(each) and any(stored.role is role for stored in each.played) for each in variants
        )

    def rule(self, kind: str, leaders: Sequence[Player], candidates: Sequence[Player]) -> str:
        """Return the rule: the season alone, the major leagues in it, or its stored pitches."""
        active = sum(self.of(each) > Appearance.NONE for each in candidates)
        if len(leaders) >= active:
            return f"{kind}, season"
        is_stored = max(map(self.of, leaders)) is Appearance.STORED
        return f"{kind}, season, {'stored pitches' if is_stored else 'major leagues'}"


@dataclass(frozen=True, kw_only=True)
class RecentEvidence(Evidence):
    """Evidence of the last seasons, for a query without a date."""

    def of(self, player: Player) -> Appearance:
        """Return where the player played of late.

        MAJOR includes who has stored pitches of late; FORMER_MAJOR is a major leaguer of the last twenty years, a
        player of spring training, or one whom a source other than the register lists.
        """
        if self.is_known_major(player) or self.is_stored_major(player):
            return Appearance.MAJOR
        is_former = player.in_major_league_since(self.last - PLAUSIBLE_SEASONS)
        if is_former or player.spellings or self.is_stored(player):
            return Appearance.FORMER_MAJOR
        return Appearance.PROFESSIONAL if player.active(self.first, self.last) else Appearance.NONE

    def lead(self, candidates: Sequence[Player]) -> list[Player]:
        """Return the candidates whom no other one outweighs."""
        found = [(self.of(each), each) for each in candidates]
        top = max((appearance for appearance, _ in found), default=Appearance.NONE)
        if top is Appearance.NONE:
            return [each for each in candidates if each.major_league] or list(candidates)
        if top is Appearance.MAJOR and self.league is League.MAJOR:
            return [each for appearance, each in found if appearance is top or self._is_still_plausible(each)]
        former = [each for appearance, each in found if not appearance and each.major_league]
        recent = [each for appearance, each in found if appearance]
        return recent if top is Appearance.PROFESSIONAL else [*recent, *former]

    def still_listed(self, leader: Player, candidates: Sequence[Player]) -> list[Player]:
        """Return no one: whom lists may contain leads already."""
        del leader, candidates
        return []

    def near_majors(self, variants: Sequence[Player], leaders: Sequence[Player]) -> list[Player]:
        """Return the recent major leaguers; also earlier ones, if there is no evidence for any leader."""
        is_listed = any(self.of(each) >= Appearance.FORMER_MAJOR for each in leaders)
        first = self.first if is_listed else self.last - PLAUSIBLE_SEASONS
        return [each for each in variants if each.in_major_league_since(first)]

    def outweighs(self, variants: Sequence[Player], leaders: Sequence[Player], role: Role | None) -> bool:
        """Return False: without a season, the name as it is written may be of anyone."""
        del variants, leaders, role
        return False

    def rule(self, kind: str, leaders: Sequence[Player], candidates: Sequence[Player]) -> str:
        """Return the rule: the name alone, the major leagues, or the recent seasons."""
        if len(leaders) >= len(candidates):
            return kind
        if max(map(self.of, leaders)) is not Appearance.MAJOR:
            return f"{kind}, recent"
        return f"{kind}, {'major leagues' if any(map(self.is_known_major, leaders)) else 'stored pitches'}"

    def _is_still_plausible(self, player: Player) -> bool:
        """Return whether a player may be the one beside a major leaguer of late."""
        if player.spellings and (player.major_league or player.active(self.first, self.last)):
            return True
        return player.in_major_league_since(self.last - FORMER_SEASONS)


@lru_cache(maxsize=16)
def recent_evidence(this_year: int, league: League, register_season: int) -> RecentEvidence:
    """Return the evidence of the last seasons until this year."""
    first = this_year - RECENT_SEASONS
    return RecentEvidence(first=first, last=this_year, league=league, register_season=register_season)


@lru_cache(maxsize=1024)
def season_evidence(
    season: int, league: League, register_season: int, *, is_whole: bool, is_role_whole: bool
) -> SeasonEvidence:
    """Return the evidence of a season."""
    return SeasonEvidence(
        first=season,
        last=season,
        league=league,
        register_season=register_season,
        is_whole=is_whole,
        is_role_whole=is_role_whole,
    )


def _span(span: tuple[int, int]) -> str:
    return f"{span[0]} to {span[1]}"
