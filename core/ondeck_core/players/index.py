"""Everyone who is known, found by id or by name in well under a millisecond."""

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
from ondeck_core.players.name_normalization import NormalizedName, dropped, fold, normalize

_NICKNAMES: Final = NickNamer()
_OF_THE_GAME: Final = (
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
)  # what the list of the package lacks and box scores are full of


def _by_name() -> dict[str, frozenset[str]]:
    return {name: frozenset(line.split()) for line in _OF_THE_GAME for name in line.split()}


_TOGETHER: Final = _by_name()


@lru_cache(maxsize=65536)
def also_called(first: str) -> frozenset[str]:
    """Tell by which first names someone of this (folded) first name may also be known.

    Sources: the nickname and diminutive list that the package `nicknames` carries, and a list of our own.
    """
    formal = _NICKNAMES.canonicals_of(first)
    short = _NICKNAMES.nicknames_of(first)
    siblings = {other for name in formal for other in _NICKNAMES.nicknames_of(name)}
    return frozenset(formal | short | siblings | _TOGETHER.get(first, frozenset())) - {first}


MLBAM: Final = "mlbam"
MOST_FORMS: Final = 64  # of one name, each letter there or lost
_MLBAM_ID: Final = re.compile(r"[0-9]{1,10}")
_FLOAT: Final = re.compile(r"^([0-9]+)\.0+$")  # what tools make of an id in a column with gaps


class PlayerIndex:
    """An index of people, built once and never changed.

    Args:
        people: everyone who is known.
        ids: MLBAM id by system and id, for example `("bbref", "troutmi01")`.
        decided: MLBAM id by spelling, as decided by hand.
    """

    def __init__(
        self, people: Iterable[Player], ids: Mapping[tuple[str, str], int], decided: Mapping[str, int] | None = None
    ) -> None:
        self.people = {person.player_id: person for person in people}
        self._ids = ids
        self._decided = {_whole(normalize(name)): player_id for name, player_id in (decided or {}).items()}
        self._spelled: dict[str, tuple[int, ...]] = {}
        self._by_last: dict[str, tuple[tuple[int, frozenset[str]], ...]] = {}
        self._build()
        self._with_letters_lost = _with_letters_lost(self.people)

    def __len__(self) -> int:
        return len(self.people)

    def by_id(self, system: str, id_: str) -> Player | None:
        """Find a man by his id in a system."""
        bare = _FLOAT.sub(r"\1", id_.strip())
        if system == MLBAM:
            return self.people.get(int(bare)) if _MLBAM_ID.fullmatch(bare) else None
        player_id = self._ids.get((system, bare))
        return None if player_id is None else self.people.get(player_id)

    def ids_of(self, player_id: int) -> list[tuple[str, str]]:
        """List a man's ids in other systems, by system and id."""
        return sorted(self._ids_by_player.get(player_id, ()))

    @cached_property
    def _ids_by_player(self) -> dict[int, list[tuple[str, str]]]:
        found: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        for known, player_id in self._ids.items():
            found[player_id].append(known)
        return dict(found)

    def decided(self, name: NormalizedName) -> Player | None:
        """Find the man whom somebody has decided this spelling to mean."""
        player_id = self._decided.get(_whole(name))
        return None if player_id is None else self.people.get(player_id)

    def so_spelled(self, name: NormalizedName) -> list[Player]:
        """Find everyone who is written so by a source: with or without middle name or initial."""
        return [self.people[each] for each in self._spelled.get(name.key, ())]

    def with_letters_lost(self, name: NormalizedName) -> list[Player]:
        """Find everyone who is written so by tools that drop letters with accents."""
        return [self.people[each] for each in self._with_letters_lost.get(name.key, ())]

    def with_initial(self, name: NormalizedName) -> list[Player]:
        """Find everyone of that last name whose first or given name begins with the letter that is asked for."""
        initial, last = name.words[0], "".join(name.words[1:])
        return [
            self.people[player_id]
            for player_id, firsts in self._by_last.get(last, ())
            if any(first.startswith(initial) for first in firsts)
        ]

    def also_so_called(self, name: NormalizedName) -> list[Player]:
        """Find everyone of that last name whose first name is the formal or the short form of the one asked for."""
        found: dict[int, Player] = {}
        for at in range(1, len(name.words)):
            first, last = "".join(name.words[:at]), "".join(name.words[at:])
            wanted = also_called(first) | {first}
            for player_id, firsts in self._by_last.get(last, ()):
                if not firsts.isdisjoint(wanted):
                    found[player_id] = self.people[player_id]
        return list(found.values())

    def _build(self) -> None:
        so_spelled: defaultdict[str, dict[int, None]] = defaultdict(dict)
        by_last: defaultdict[str, list[tuple[int, frozenset[str]]]] = defaultdict(list)
        for person in self.people.values():
            first, given, last = fold(person.first), fold(person.given), normalize(person.last).words
            for key in _keys(person, first, given, last):
                so_spelled[key][person.player_id] = None
            firsts = frozenset({"".join(first), *given[:1]} - {""})
            if last and firsts:
                by_last["".join(last)].append((person.player_id, firsts))
        self._spelled = {key: tuple(found) for key, found in so_spelled.items()}
        self._by_last = {last: tuple(found) for last, found in by_last.items()}


def _whole(name: NormalizedName) -> tuple[str, str]:
    return name.key, name.suffix


def _with_letters_lost(people: Mapping[int, Player]) -> dict[str, tuple[int, ...]]:
    """Find out how names look to tools that drop letters with accents, also where this man is written without."""
    names = {person.player_id: (f"{person.first} {person.last}", *person.spellings) for person in people.values()}
    left: defaultdict[str, set[str]] = defaultdict(set)
    for texts in names.values():
        for word in {word for text in texts if not text.isascii() for word in text.replace(",", " ").split()}:
            if not word.isascii():
                left["".join(fold(word))].add(dropped(word))
    found: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for player_id, texts in names.items():
        for words in {normalize(text).words for text in texts}:
            if not left.keys().isdisjoint(words):
                for lost in islice(product(*({word, *left.get(word, ())} for word in words)), MOST_FORMS):
                    if lost != words:
                        found["".join(lost)][player_id] = None
    return {key: tuple(each) for key, each in found.items()}


def _keys(person: Player, first: list[str], given: list[str], last: tuple[str, ...]) -> set[str]:
    surname, called = "".join(last), "".join(first)
    keys = {normalize(each).key for each in person.spellings}
    keys.add(called + surname)
    if len(given) > 1:
        keys.add("".join(given) + surname)
        keys |= {called + middle[0] + surname for middle in given[1:]}
    return keys - {"", surname}


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
