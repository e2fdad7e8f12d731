"""The names and ids of a player index as one block of bytes, which several processes can map.

A block is sections with a table of their places: arrays, and sequences of JSON values. Reading it runs no code of the
block, and the arrays are of this machine's byte order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
from pydantic_core import from_json, to_json

from ondeck_core.players.index_keys import LAST_NAME, Key, group_by_last_name, name_keys, other_keys, table_key
from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import fold, fold_suffix, normalize

NAMES_PER_CHUNK: Final = 4096
_LENGTH_BYTES: Final = 8
SUFFIX_TEXTS: Final = {"jr": "Jr.", "sr": "Sr.", "ii": "II", "iii": "III", "iv": "IV", "v": "V"}
PLAYER_IDS: Final = "player ids"
MAJOR_LEAGUE_SPANS: Final = "major league spans"
NO_SPAN: Final = (1, 0)  # first and last season of a player who has none


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


def make_block(
    players: Iterable[Player], ids: Mapping[tuple[str, str], int], overrides: Mapping[str, int] | None = None
) -> bytes:
    """Make the block of an index, without the seasons that were played.

    Args:
        players: all known players.
        ids: MLBAM id by system and id, for example `("bbref", "troutmi01")`.
        overrides: MLBAM id by spelling, from the recorded overrides.
    """
    by_id = {player.player_id: player for player in players}
    people = [_add_suffix(by_id[player_id]) for player_id in sorted(by_id)]
    groups = group_by_last_name(people)
    keys = [
        *other_keys(ids, overrides or {}),
        *name_keys(people),
        *((table_key(LAST_NAME, last), at) for at, last in enumerate(groups)),
    ]
    named = [player for player in people if player.name]
    names = [" ".join(fold(player.name)) for player in named]
    last_seasons = [player.major_league[1] if player.major_league else 0 for player in named]
    return pack_sections(
        {
            PLAYER_IDS: _int32(player.player_id for player in people),
            **_pack_values("players", (player[:-1] for player in people)),  # all but the played seasons
            **_pack_values("ids of players", _other_ids(people, ids)),
            **_pack_values("last names", groups.values()),
            **_pack_table(keys),
            "named ids": _int32(player.player_id for player in named),
            "last seasons": _int32(last_seasons),
            MAJOR_LEAGUE_SPANS: _int32(season for player in people for season in player.major_league or NO_SPAN),
            **_pack_values("names", (names[at : at + NAMES_PER_CHUNK] for at in range(0, len(names), NAMES_PER_CHUNK))),
        }
    )


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


def pack_sections(sections: Mapping[str, bytes | memoryview]) -> bytes:
    """Make a block of sections, as `read_sections` returns them."""
    ends = list(accumulate(len(content) for content in sections.values()))
    places = {name: (end - len(content), end) for (name, content), end in zip(sections.items(), ends, strict=True)}
    table = to_json(places)
    return b"".join((len(table).to_bytes(_LENGTH_BYTES, "little"), table, *sections.values()))


def _pack_values(name: str, values: Iterable[object]) -> dict[str, bytes]:
    stored = [to_json(each) for each in values]
    places = np.fromiter(accumulate(map(len, stored), initial=0), dtype=np.uint64, count=len(stored) + 1)
    return {name: b"".join(stored), f"places of {name}": places.tobytes()}


def _pack_table(keys: Sequence[Key]) -> dict[str, bytes]:
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


def _add_suffix(player: Player) -> Player:
    """Return the player with the suffix of a spelling, if the register has none."""
    if fold_suffix(player.suffix):
        return player
    return player._replace(suffix=next((SUFFIX_TEXTS[s] for s in map(_suffix_of, player.spellings) if s), ""))


def _suffix_of(spelling: str) -> str:
    return normalize(spelling).suffix
