"""Players whose names are like a text: for people who look for somebody, never for programs that mean someone."""

from collections.abc import Sequence
from typing import Final

from rapidfuzz import fuzz, process

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.people import Person
from ondeck_core.players.spelling import fold

LEAST_LIKENESS: Final = 60.0  # of 100


class PlayerSearch:
    """The folded names of everyone in an index; men who have been in the major leagues stand before others."""

    def __init__(self, index: PlayerIndex) -> None:
        self._index = index
        known = ((person, " ".join(fold(person.name))) for person in index.people.values())
        self._names = {person.player_id: name for person, name in known if name}

    def like(self, text: str, *, skip: int, count: int) -> Sequence[Person]:
        """List those whose names are likest, `count` of them after the first `skip`."""
        wanted = " ".join(fold(text))
        if not wanted:
            return []
        found = process.extract(
            wanted, self._names, scorer=fuzz.WRatio, limit=None, score_cutoff=LEAST_LIKENESS, processor=None
        )
        ranked = sorted(found, key=self._rank)
        return [self._index.people[player_id] for _, _, player_id in ranked[skip : skip + count]]

    def _rank(self, found: tuple[str, float, int]) -> tuple[float, int, int]:
        _, likeness, player_id = found
        major_league = self._index.people[player_id].major_league
        return -likeness, -(major_league[1] if major_league else 0), player_id
