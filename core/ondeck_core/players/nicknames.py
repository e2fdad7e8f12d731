"""By which first names a man may be known."""

from functools import lru_cache
from typing import Final

from nicknames import NickNamer

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
