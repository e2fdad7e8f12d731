"""The content of a player index as one block of bytes, which several processes can map.

A block is sections with a table of their places: arrays, and sequences of JSON values. Reading it runs no code of the
block, and the arrays are of this machine's byte order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, islice, product
from typing import Any, Final

import numpy as np
from pydantic_core import from_json, to_json

from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import NormalizedName, drop_accented, fold, normalize

MAX_LOSSY_FORMS: Final = 64  # of one name, with every accented letter kept or dropped
NAMES_PER_CHUNK: Final = 4096
_LENGTH_BYTES: Final = 8
# Kinds of keys of the one table, which maps a key to players or, for last names, to a group of players.
OVERRIDE: Final = "override"
SPELLING: Final = "spelling"
LOSSY_SPELLING: Final = "lossy spelling"
LAST_NAME: Final = "last name"
OTHER_ID: Final = "id"


class JsonValues:
    """A sequence of JSON values in a block, each parsed when it is asked for."""

    def __init__(self, sections: Mapping[str, memoryview], name: str) -> None:
        self._data = sections[name]
        self._places = sections[f"places of {name}"].cast("Q")

    def __len__(self) -> int:
        return len(self._places) - 1

    def __getitem__(self, at: int) -> Any:  # noqa: ANN401  any JSON value
        return from_json(bytes(self._data[self._places[at] : self._places[at + 1]]))

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))


def table_key(kind: str, *parts: str) -> int:
    """Return the key of a text in the table, a digest of 64 bits."""
    text = "\0".join((kind, *parts)).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def make_block(
    players: Iterable[Player], ids: Mapping[tuple[str, str], int], overrides: Mapping[str, int] | None = None
) -> bytes:
    """Make the block of an index.

    Args:
        players: all known players.
        ids: MLBAM id by system and id, for example `("bbref", "troutmi01")`.
        overrides: MLBAM id by spelling, from the recorded overrides.
    """
    by_id = {player.player_id: player for player in players}
    people = [by_id[player_id] for player_id in sorted(by_id)]
    groups = _group_by_last_name(people)
    keys = [
        *((table_key(OTHER_ID, *system_and_id), player_id) for system_and_id, player_id in ids.items()),
        *((override_key(normalize(name)), player_id) for name, player_id in (overrides or {}).items()),
        *_spelling_keys(people),
        *_lossy_spelling_keys(people),
        *((table_key(LAST_NAME, last), at) for at, last in enumerate(groups)),
    ]
    named = [player for player in people if player.name]
    names = [" ".join(fold(player.name)) for player in named]
    last_seasons = [player.major_league[1] if player.major_league else 0 for player in named]
    return _pack(
        {
            "player ids": _int32(player.player_id for player in people),
            **_pack_values("players", people),
            **_pack_values("ids of players", _other_ids(people, ids)),
            **_pack_values("last names", groups.values()),
            **_pack_table(keys),
            "named ids": _int32(player.player_id for player in named),
            "last seasons": _int32(last_seasons),
            **_pack_values("names", (names[at : at + NAMES_PER_CHUNK] for at in range(0, len(names), NAMES_PER_CHUNK))),
        }
    )


def override_key(name: NormalizedName) -> int:
    """Return the key of an override; the suffix is a part of it."""
    return table_key(OVERRIDE, name.key, name.suffix)


def read_sections(block: memoryview) -> dict[str, memoryview]:
    """Return the sections of a block by name; they share its memory.

    Raises:
        ValueError: it is not a whole block.
    """
    begin = _LENGTH_BYTES + int.from_bytes(block[:_LENGTH_BYTES], "little")
    if not _LENGTH_BYTES < begin <= len(block):
        raise ValueError("the player index is cut off")
    places: dict[str, tuple[int, int]] = from_json(bytes(block[_LENGTH_BYTES:begin]))
    if begin + max(end for _, end in places.values()) != len(block):
        raise ValueError("the player index is cut off")
    return {name: block[begin + first : begin + end] for name, (first, end) in places.items()}


def _pack(sections: Mapping[str, bytes]) -> bytes:
    ends = list(accumulate(len(content) for content in sections.values()))
    places = {name: (end - len(content), end) for (name, content), end in zip(sections.items(), ends, strict=True)}
    table = to_json(places)
    return b"".join((len(table).to_bytes(_LENGTH_BYTES, "little"), table, *sections.values()))


def _pack_values(name: str, values: Iterable[object]) -> dict[str, bytes]:
    stored = [to_json(each) for each in values]
    places = np.fromiter(accumulate(map(len, stored), initial=0), dtype=np.uint64, count=len(stored) + 1)
    return {name: b"".join(stored), f"places of {name}": places.tobytes()}


def _pack_table(keys: Sequence[tuple[int, int]]) -> dict[str, bytes]:
    digests = np.fromiter((key for key, _ in keys), dtype=np.uint64, count=len(keys))
    order = np.argsort(digests, kind="stable")
    values = np.fromiter((value for _, value in keys), dtype=np.int32, count=len(keys))
    return {"keys": digests[order].tobytes(), "values": values[order].tobytes()}


def _int32(values: Iterable[int]) -> bytes:
    return np.fromiter(values, dtype=np.int32).tobytes()


def _other_ids(people: Iterable[Player], ids: Mapping[tuple[str, str], int]) -> Iterator[list[tuple[str, str]]]:
    found: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for system_and_id, player_id in ids.items():
        found[player_id].append(system_and_id)
    return (sorted(found.get(player.player_id, ())) for player in people)


def _group_by_last_name(people: Iterable[Player]) -> dict[str, dict[str, list[int]]]:
    """Return the ids of players by last name, and then by first name and first given name."""
    groups: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for player in people:
        last = "".join(normalize(player.last).words)
        for first in {"".join(fold(player.first)), *fold(player.given)[:1]} - {""}:
            if last:
                groups[last][first].append(player.player_id)
    return dict(groups)


def _spelling_keys(people: Iterable[Player]) -> Iterator[tuple[int, int]]:
    for player in people:
        for spelling in _spellings(player):
            yield table_key(SPELLING, spelling), player.player_id


def _spellings(player: Player) -> set[str]:
    first_name, given = "".join(fold(player.first)), fold(player.given)
    last_name = "".join(normalize(player.last).words)
    spellings = {normalize(each).key for each in player.spellings}
    spellings.add(first_name + last_name)
    if len(given) > 1:
        spellings.add("".join(given) + last_name)
        spellings |= {first_name + middle[0] + last_name for middle in given[1:]}
    return spellings - {"", last_name}


def _lossy_spelling_keys(people: Sequence[Player]) -> Iterator[tuple[int, int]]:
    """Yield the keys of the spellings of tools that drop accented letters, with the players.

    A word that any player spells with an accent is also dropped from names that are stored without the accent.
    """
    names = {player.player_id: (f"{player.first} {player.last}", *player.spellings) for player in people}
    lossy_words: defaultdict[str, set[str]] = defaultdict(set)
    for texts in names.values():
        for word in {word for text in texts if not text.isascii() for word in text.replace(",", " ").split()}:
            if not word.isascii():
                lossy_words["".join(fold(word))].add(drop_accented(word))
    for player_id, texts in names.items():
        lossy_spellings: set[str] = set()
        for words in {normalize(text).words for text in texts}:
            if not lossy_words.keys().isdisjoint(words):
                forms = product(*({word, *lossy_words.get(word, ())} for word in words))
                lossy_spellings |= {"".join(form) for form in islice(forms, MAX_LOSSY_FORMS) if form != words}
        for spelling in lossy_spellings:
            yield table_key(LOSSY_SPELLING, spelling), player_id
