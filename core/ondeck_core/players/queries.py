"""What may be asked about a player."""

from dataclasses import dataclass
from datetime import date

from ondeck_core.players.models import Role


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
