"""Players whose names are like a text: for people who look for somebody, never for programs that mean someone."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from rapidfuzz import fuzz, process

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import fold

LEAST_LIKENESS: Final = 60.0  # of 100


class PlayerSearch:
    """The folded names of everyone in an index; of men who are alike, he who was last in the major leagues leads."""

    def __init__(self, index: PlayerIndex) -> None:
        self._people = [person for person in index.people.values() if person.name]
        self._names = [" ".join(fold(person.name)) for person in self._people]
        self._ids = np.array([person.player_id for person in self._people], dtype=np.int64)
        last_seasons = [person.major_league[1] if person.major_league else 0 for person in self._people]
        self._last_seasons = np.array(last_seasons, dtype=np.int64)

    def like(self, text: str, *, skip: int, count: int) -> Sequence[Player]:
        """List those whose names are likest, `count` of them after the first `skip`; takes some 50 ms."""
        wanted = " ".join(fold(text))
        if not wanted or not self._names:
            return []
        likeness = process.cdist([wanted], self._names, scorer=fuzz.WRatio, dtype=np.float32)[0]
        ranked = np.lexsort((self._ids, -self._last_seasons, -likeness))
        alike = ranked[: int((likeness >= LEAST_LIKENESS).sum())]
        return [self._people[at] for at in alike[skip : skip + count]]
