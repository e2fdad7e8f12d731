"""Players, player queries and their resolutions."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Final, NamedTuple

MAX_LENGTH: Final = 200  # characters of a name that are read


class Role(Enum):
    """Role of a player in a pitch."""

    BATTER = "batter"
    PITCHER = "pitcher"


class League(Enum):
    """Leagues that a query is about: the major leagues outweigh the others, or all count the same."""

    MAJOR = "major"
    ANY = "any"


Born = tuple[int | None, int | None, int | None]  # year, month and day


class TeamSeason(NamedTuple):
    """A season in which the stored pitches contain a player, with team (Savant's abbreviation) and role."""

    season: int
    team: str
    role: Role


class Player(NamedTuple):
    """One player. `player_id` is the MLBAM id; spans are first and last season; None is unknown.

    `also_born` are dates of birth from other sources. It is a tuple, since each look-up makes one, and a frozen
    dataclass takes five times as long to make.
    """

    player_id: int
    first: str = ""
    last: str = ""
    given: str = ""
    suffix: str = ""
    born: Born = (None, None, None)
    also_born: tuple[Born, ...] = ()
    professional: tuple[int, int] | None = None
    major_league: tuple[int, int] | None = None
    spellings: tuple[str, ...] = ()
    played: tuple[TeamSeason, ...] = ()

    @property
    def name(self) -> str:
        """Display name, "First Last"; "" if only the id is known."""
        whole = f"{self.first} {self.last}".strip()
        return f"{whole} {self.suffix}".strip() or (self.spellings[0] if self.spellings else "")

    @property
    def has_played(self) -> bool:
        """Whether any season of the player is known."""
        return self.professional is not None or self.major_league is not None or bool(self.played)

    def in_major_league_since(self, season: int) -> bool:
        """Return whether the player's last major league season is this season or later."""
        return self.major_league is not None and self.major_league[1] >= season

    def in_major_league_within(self, first_season: int, last_season: int) -> bool:
        """Return whether the major league career overlaps these seasons."""
        return (
            self.major_league is not None
            and self.major_league[0] <= last_season
            and first_season <= self.major_league[1]
        )

    def active(self, first_season: int, last_season: int) -> bool:
        """Return whether the player played in one of these seasons, at any level."""
        spans = (self.professional, self.major_league)
        if any(span is not None and span[0] <= last_season and first_season <= span[1] for span in spans):
            return True
        return any(first_season <= each.season <= last_season for each in self.played)


@dataclass(frozen=True, kw_only=True, slots=True)
class IdQuery:
    """Query by an id: `mlbam` or another id system."""

    system: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NameQuery:
    """Query by a name and optional context; without day or season recent players take precedence."""

    name: str
    season: int | None = None
    day: date | None = None
    team: str = ""
    role: Role | None = None
    born: date | None = None
    league: League = League.MAJOR

    @property
    def of_season(self) -> int | None:
        """Season of the query, from `season` or `day`."""
        return self.season if self.season is not None else self.day.year if self.day is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Exactly one player matches; `rule` is the rule that matched."""

    player: Player
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambiguous:
    """Several players match, the most probable first.

    `evidence` has a text for each of them; `rule` is the rule by which they match.
    """

    candidates: tuple[Player, ...]
    evidence: tuple[str, ...]
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """No known player matches; `rule` is the reason, `next_try` is when the registers are read again."""

    next_try: datetime
    rule: str = field(default="", compare=False)


Resolution = Found | Ambiguous | Missing
