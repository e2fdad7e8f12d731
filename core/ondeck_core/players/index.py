"""Indexes of all players: lookup by id and by name in less than a millisecond, and search by similar name."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ondeck_core.players.block_sections import PLAYER_IDS, JsonValues, read_sections
from ondeck_core.players.index_keys import (
    LAST_NAME,
    LOSSY_SPELLING,
    OTHER_ID,
    SPELLING,
    VARIANT,
    override_key,
    table_key,
)
from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import NormalizedName, fold
from ondeck_core.players.played_seasons import PlayedSeasons, pack_played_seasons

MLBAM: Final = "mlbam"
MIN_SIMILARITY: Final = 60.0  # of 100
_MLBAM_ID: Final = re.compile(r"[0-9]{1,10}")
_FLOAT: Final = re.compile(r"^([0-9]+)\.0+$")  # ids in a column with missing values, as pandas writes them


class PlayerIndex:
    """An immutable index of players in blocks of memory, which may be mapped files: names, and played seasons.

    Raises:
        ValueError: one is not a whole block.
    """

    def __init__(self, names: memoryview, seasons: memoryview) -> None:
        sections = read_sections(names)
        self.blocks = names, seasons
        self._played = PlayedSeasons(seasons)
        self._ids = sections[PLAYER_IDS].cast("i")
        self._players = JsonValues(sections, "players")
        self._other_ids = JsonValues(sections, "ids of players")
        self._last_names = JsonValues(sections, "last names")
        self._keys = sections["keys"].cast("Q")
        self._values = sections["values"].cast("i")
        self.named_ids = sections["named ids"].cast("i")
        self.last_seasons = sections["last seasons"].cast("i")
        self.names = JsonValues(sections, "names")
        self.register_season = max(self.last_seasons, default=0)  # the last one in which a player is known to play
        self.whole_seasons = self._played.whole

    @classmethod
    def of(
        cls, players: Iterable[Player], ids: Mapping[tuple[str, str], int], overrides: Mapping[str, int] | None = None
    ) -> "PlayerIndex":
        """Make an index in the memory of this process; arguments as of `make_block`."""
        from ondeck_core.players.index_block import make_block  # noqa: PLC0415  it imports numpy; a look-up needs none

        everyone = list(players)
        names = memoryview(make_block(everyone, ids, overrides))
        played = {each.player_id: [(p.season, p.team, p.role.value) for p in each.played] for each in everyone}
        return cls(names, memoryview(pack_played_seasons(names, {key: each for key, each in played.items() if each})))

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, player_id: int) -> Player:
        player = self.player(player_id)
        if player is None:
            raise KeyError(player_id)
        return player

    def player(self, player_id: int) -> Player | None:
        """Return the player with an MLBAM id."""
        at = self._place(player_id)
        return None if at is None else self._read_player(at)

    def by_id(self, system: str, id_: str) -> Player | None:
        """Return the player with an id of a system."""
        bare = id_ if id_.isalnum() else _FLOAT.sub(r"\1", id_.strip())
        if system == MLBAM:
            return self.player(int(bare)) if _MLBAM_ID.fullmatch(bare) else None
        return next(iter(self._find(table_key(OTHER_ID, system, bare))), None)

    def ids_of(self, player_id: int) -> list[tuple[str, str]]:
        """List a player's ids in other systems, sorted by system and id."""
        at = self._place(player_id)
        ids: list[tuple[str, str]] = [] if at is None else self._other_ids[at]
        return ids

    def by_override(self, name: NormalizedName) -> Player | None:
        """Return the player to whom an override assigns this spelling."""
        return next(iter(self._find(override_key(name))), None)

    def by_spelling(self, name: NormalizedName) -> list[Player]:
        """List the players whom a source spells this way, with or without middle name or initial."""
        return self._find(table_key(SPELLING, name.key))

    def by_variant(self, name: NormalizedName) -> list[Player]:
        """List the players of whose name this is a variant: a formal or short form of the first name, or its begin."""
        return self._find(table_key(VARIANT, name.key))

    def by_lossy_spelling(self, name: NormalizedName) -> list[Player]:
        """List the players whom tools that drop accented letters spell this way."""
        return self._find(table_key(LOSSY_SPELLING, name.key))

    def by_initial(self, name: NormalizedName) -> list[Player]:
        """List the players with this last name whose first or given name begins with the initial."""
        initial, last = name.words[0], "".join(name.words[1:])
        by_first = self._with_last_name(last)
        found = {each for first, ids in by_first.items() if first.startswith(initial) for each in ids}
        return [self[player_id] for player_id in sorted(found)]

    def _place(self, player_id: int) -> int | None:
        at = bisect_left(self._ids, player_id)
        return at if at < len(self._ids) and self._ids[at] == player_id else None

    def _values_of(self, key: int) -> list[int]:
        keys, values = self._keys, self._values
        at = bisect_left(keys, key)
        found = []
        while at < len(keys) and keys[at] == key:
            found.append(values[at])
            at += 1
        return found

    def _find(self, key: int) -> list[Player]:
        players = map(self.player, self._values_of(key))
        return [player for player in players if player is not None]

    def _with_last_name(self, last: str) -> dict[str, list[int]]:
        """Return the ids of the players with a last name, by first name and first given name."""
        for at in self._values_of(table_key(LAST_NAME, last)):
            by_first: dict[str, list[int]] = self._last_names[at]
            return by_first
        return {}

    def _read_player(self, at: int) -> Player:
        player_id, first, last, given, suffix, born, also_born, pro, major, spellings = self._players[at]
        return Player(
            player_id,
            first,
            last,
            given,
            suffix,
            tuple(born),
            tuple(map(tuple, also_born)) if also_born else (),
            pro and tuple(pro),
            major and tuple(major),
            tuple(spellings) if spellings else (),
            self._played.of(player_id),
        )


class PlayerSearch:
    """Similarity search over the names of an index; on a tie the most recent major leaguer is first."""

    def __init__(self, index: PlayerIndex) -> None:
        self._index = index

    def find_similar(self, text: str, *, skip: int, count: int) -> Sequence[Player]:
        """List the most similar players, `count` after the first `skip`; takes about 50 ms."""
        import numpy as np  # noqa: PLC0415  nothing else here needs it
        from rapidfuzz import fuzz, process  # noqa: PLC0415  as above

        name, index = " ".join(fold(text)), self._index
        if not name or not len(index.names):
            return []
        similarity = np.concatenate(
            [process.cdist([name], names, scorer=fuzz.WRatio, dtype=np.float32)[0] for names in index.names]
        )
        ids, last_seasons = (np.frombuffer(each, dtype=np.int32) for each in (index.named_ids, index.last_seasons))
        ranked = np.lexsort((ids, -last_seasons, -similarity))
        similar = ranked[: int((similarity >= MIN_SIMILARITY).sum())]
        return [index[int(ids[number])] for number in similar[skip : skip + count]]
