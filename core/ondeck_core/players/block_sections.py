"""Sections of bytes in one block, which several processes can map: arrays, and sequences of JSON values.

A block begins with a table of the places of its sections. Reading it runs no code of the block and imports little; the
arrays are of this machine's byte order.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from pydantic_core import from_json, to_json

PLAYER_IDS: Final = "player ids"
MAJOR_LEAGUE_SPANS: Final = "major league spans"
NO_SPAN: Final = (1, 0)  # first and last season of a player who has none
_LENGTH_BYTES: Final = 8


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


def pack_values(name: str, values: Iterable[object]) -> dict[str, bytes]:
    """Return the two sections of a sequence of JSON values, which `JsonValues` reads."""
    stored = [to_json(each) for each in values]
    places = array("Q", accumulate(map(len, stored), initial=0))
    return {name: b"".join(stored), f"places of {name}": places.tobytes()}


def pack_integers(values: Iterable[int]) -> bytes:
    """Return a section of integers of 32 bits."""
    return array("i", values).tobytes()
