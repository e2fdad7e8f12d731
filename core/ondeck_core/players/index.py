"""Indexes of all players: lookup by id and by name in less than a millisecond, and search by similar name."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice, product
from typing import Final

import numpy as np
from nicknames import NickNamer
from rapidfuzz import fuzz, process

from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import NormalizedName, drop_accented, fold, normalize

MLBAM: Final = "mlbam"
MAX_LOSSY_FORMS: Final = 64  # of one name, with every accented letter kept or dropped
MIN_SIMILARITY: Final = 60.0  # of 100
_MLBAM_ID: Final = re.compile(r"[0-9]{1,10}")
_FLOAT: Final = re.compile(r"^([0-9]+)\.0+$")  # ids in a column with missing values, as pandas writes them
_NICKNAMES: Final = NickNamer()
_BASEBALL_NICKNAMES: Final = (
    "alex alejandro alexander",
    "dan danny daniel",
    "dom dominic dominick",
    "enrique kike quique",
    "ezequiel zeke",
    "freddy freddie fred frederick",
    "giovanny giovanni gio",
    "jim jimmy james",
    "jon jonny jonathan johnathan",
    "leo leonardo",
    "nick nicholas nicolas nico",
    "philip phillip phil",
    "rafa rafael",
    "robert robbie rob bob bobby",
    "sal salvy salvador",
    "steve steven stephen",
    "vlad vladimir",
    "yoshi yoshinobu",
    "zac zach zack zachary zachery",
)  # frequent in box scores and missing in the package's list
_EQUIVALENT_NAMES: Final = {name: frozenset(line.split()) for line in _BASEBALL_NICKNAMES for name in line.split()}


@lru_cache(maxsize=65536)
def nicknames_of(first: str) -> frozenset[str]:
    """Return the formal and short forms of a folded first name.

    Sources are the lists of the package `nicknames` and `_BASEBALL_NICKNAMES`.
    """
    formal = _NICKNAMES.canonicals_of(first)
    short = _NICKNAMES.nicknames_of(first)
    siblings = {other for name in formal for other in _NICKNAMES.nicknames_of(name)}
    return frozenset(formal | short | siblings | _EQUIVALENT_NAMES.get(first, frozenset())) - {first}


class PlayerIndex:
    """An immutable index of players.

    Args:
        players: all known players.
        ids: MLBAM id by system and id, for example `("bbref", "troutmi01")`.
        overrides: MLBAM id by spelling, from the recorded overrides.
    """

    def __init__(
        self, players: Iterable[Player], ids: Mapping[tuple[str, str], int], overrides: Mapping[str, int] | None = None
    ) -> None:
        self.players = {player.player_id: player for player in players}
        self._ids = ids
        self._overrides = {_key_and_suffix(normalize(name)): player_id for name, player_id in (overrides or {}).items()}
        self._by_spelling: dict[str, tuple[int, ...]] = {}
        self._by_last_name: dict[str, tuple[tuple[int, frozenset[str]], ...]] = {}
        self._build()
        self._by_lossy_spelling = _lossy_spellings(self.players)

    def __len__(self) -> int:
        return len(self.players)

    def by_id(self, system: str, id_: str) -> Player | None:
        """Return the player with an id of a system."""
        bare = _FLOAT.sub(r"\1", id_.strip())
        if system == MLBAM:
            return self.players.get(int(bare)) if _MLBAM_ID.fullmatch(bare) else None
        player_id = self._ids.get((system, bare))
        return None if player_id is None else self.players.get(player_id)

    def ids_of(self, player_id: int) -> list[tuple[str, str]]:
        """List a player's ids in other systems, sorted by system and id."""
        return sorted(self._ids_by_player.get(player_id, ()))

    @cached_property
    def _ids_by_player(self) -> dict[int, list[tuple[str, str]]]:
        ids: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        for system_and_id, player_id in self._ids.items():
            ids[player_id].append(system_and_id)
        return dict(ids)

    def by_override(self, name: NormalizedName) -> Player | None:
        """Return the player to whom an override assigns this spelling."""
        player_id = self._overrides.get(_key_and_suffix(name))
        return None if player_id is None else self.players.get(player_id)

    def by_spelling(self, name: NormalizedName) -> list[Player]:
        """List the players whom a source spells this way, with or without middle name or initial."""
        return [self.players[each] for each in self._by_spelling.get(name.key, ())]

    def by_lossy_spelling(self, name: NormalizedName) -> list[Player]:
        """List the players whom tools that drop accented letters spell this way."""
        return [self.players[each] for each in self._by_lossy_spelling.get(name.key, ())]

    def by_initial(self, name: NormalizedName) -> list[Player]:
        """List the players with this last name whose first or given name begins with the initial."""
        initial, last = name.words[0], "".join(name.words[1:])
        return [
            self.players[player_id]
            for player_id, firsts in self._by_last_name.get(last, ())
            if any(first.startswith(initial) for first in firsts)
        ]

    def by_nickname(self, name: NormalizedName) -> list[Player]:
        """List the players with this last name whose first name is a formal or short form of the given one."""
        found: dict[int, Player] = {}
        for split in range(1, len(name.words)):
            first, last = "".join(name.words[:split]), "".join(name.words[split:])
            forms = nicknames_of(first) | {first}
            for player_id, firsts in self._by_last_name.get(last, ()):
                if not firsts.isdisjoint(forms):
                    found[player_id] = self.players[player_id]
        return list(found.values())

    def _build(self) -> None:
        by_spelling: defaultdict[str, dict[int, None]] = defaultdict(dict)
        by_last_name: defaultdict[str, list[tuple[int, frozenset[str]]]] = defaultdict(list)
        for player in self.players.values():
            first, given, last = fold(player.first), fold(player.given), normalize(player.last).words
            for key in _spelling_keys(player, first, given, last):
                by_spelling[key][player.player_id] = None
            firsts = frozenset({"".join(first), *given[:1]} - {""})
            if last and firsts:
                by_last_name["".join(last)].append((player.player_id, firsts))
        self._by_spelling = {key: tuple(found) for key, found in by_spelling.items()}
        self._by_last_name = {last: tuple(found) for last, found in by_last_name.items()}


def _key_and_suffix(name: NormalizedName) -> tuple[str, str]:
    return name.key, name.suffix


def _lossy_spellings(players: Mapping[int, Player]) -> dict[str, tuple[int, ...]]:
    """Return the players by the spellings of tools that drop accented letters.

    A word that any player spells with an accent is also dropped from names that are stored without the accent.
    """
    names = {player.player_id: (f"{player.first} {player.last}", *player.spellings) for player in players.values()}
    lossy_words: defaultdict[str, set[str]] = defaultdict(set)
    for texts in names.values():
        for word in {word for text in texts if not text.isascii() for word in text.replace(",", " ").split()}:
            if not word.isascii():
                lossy_words["".join(fold(word))].add(drop_accented(word))
    found: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for player_id, texts in names.items():
        for words in {normalize(text).words for text in texts}:
            if not lossy_words.keys().isdisjoint(words):
                forms = product(*({word, *lossy_words.get(word, ())} for word in words))
                for lossy in islice(forms, MAX_LOSSY_FORMS):
                    if lossy != words:
                        found["".join(lossy)][player_id] = None
    return {key: tuple(each) for key, each in found.items()}


def _spelling_keys(player: Player, first: list[str], given: list[str], last: tuple[str, ...]) -> set[str]:
    last_name, first_name = "".join(last), "".join(first)
    keys = {normalize(each).key for each in player.spellings}
    keys.add(first_name + last_name)
    if len(given) > 1:
        keys.add("".join(given) + last_name)
        keys |= {first_name + middle[0] + last_name for middle in given[1:]}
    return keys - {"", last_name}


class PlayerSearch:
    """Similarity search over the names of an index; on a tie the most recent major leaguer is first."""

    def __init__(self, index: PlayerIndex) -> None:
        self._players = [player for player in index.players.values() if player.name]
        self._names = [" ".join(fold(player.name)) for player in self._players]
        self._ids = np.array([player.player_id for player in self._players], dtype=np.int64)
        last_seasons = [player.major_league[1] if player.major_league else 0 for player in self._players]
        self._last_seasons = np.array(last_seasons, dtype=np.int64)

    def find_similar(self, text: str, *, skip: int, count: int) -> Sequence[Player]:
        """List the most similar players, `count` after the first `skip`; takes about 50 ms."""
        name = " ".join(fold(text))
        if not name or not self._names:
            return []
        similarity = process.cdist([name], self._names, scorer=fuzz.WRatio, dtype=np.float32)[0]
        ranked = np.lexsort((self._ids, -self._last_seasons, -similarity))
        similar = ranked[: int((similarity >= MIN_SIMILARITY).sum())]
        return [self._players[number] for number in similar[skip : skip + count]]
