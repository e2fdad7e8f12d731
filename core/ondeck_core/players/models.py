"""People as a resolver knows them."""

from dataclasses import dataclass
from datetime import date
from enum import Enum


class Role(Enum):
    """What a man was in a pitch."""

    BATTER = "batter"
    PITCHER = "pitcher"


Born = tuple[int | None, int | None, int | None]  # year, month and day


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamSeason:
    """For which team, in which season and role a man stands in stored pitches; teams as Savant writes them."""

    season: int
    team: str
    role: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Player:
    """One player. `player_id` is his MLBAM id; spans are seasons, first and last; None is not known.

    `also_born` are dates of birth that other sources give him.
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
        """His name for people, "First Last"; "" for one who is known by id alone."""
        whole = f"{self.first} {self.last}".strip()
        return f"{whole} {self.suffix}".strip() or (self.spellings[0] if self.spellings else "")

    @property
    def has_played(self) -> bool:
        """Tell whether any career of his is known."""
        return self.professional is not None or self.major_league is not None or bool(self.played)

    def in_major_league_since(self, season: int) -> bool:
        """Tell whether he is known to have played in the major leagues in this season or later."""
        return self.major_league is not None and self.major_league[1] >= season

    def in_major_league_within(self, first_season: int, last_season: int) -> bool:
        """Tell whether one of these seasons is of his career in the major leagues."""
        return (
            self.major_league is not None
            and self.major_league[0] <= last_season
            and first_season <= self.major_league[1]
        )

    def active(self, first_season: int, last_season: int) -> bool:
        """Tell whether he is known to have played in one of these seasons, at whatever level."""
        spans = (self.professional, self.major_league)
        if any(span is not None and span[0] <= last_season and first_season <= span[1] for span in spans):
            return True
        return any(first_season <= each.season <= last_season for each in self.played)


@dataclass(frozen=True, kw_only=True, slots=True)
class IdQuery:
    """Asked by an id: `mlbam`, or the system of another."""

    system: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NameQuery:
    """Asked by a name, and by whatever else is known; without day or season, men of the last years are meant first."""

    name: str
    season: int | None = None
    day: date | None = None
    team: str = ""
    role: Role | None = None
    born: date | None = None

    @property
    def of_season(self) -> int | None:
        """The season that is asked about."""
        return self.season if self.season is not None else self.day.year if self.day is not None else None
