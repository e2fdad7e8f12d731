"""Names as people write them, folded to what can be compared.

Accents in either Unicode form, mojibake, case, punctuation, blanks and the order of first and last name are not part
of a name; suffixes are, but not everyone writes them.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import ftfy
from anyascii import anyascii
from nicknames import NickNamer

SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "v"})
LONGEST: Final = 200
_SILENT: Final = re.compile("['\u2018\u2019\u02bc`]")
_BETWEEN: Final = re.compile(r"[^a-z0-9]+")
_NICKNAMES: Final = NickNamer()
_FEWEST_WORDS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """A folded name: its words in the order first to last, initials together ("jc"), and its suffix, if it has one."""

    words: tuple[str, ...]
    suffix: str = ""

    @property
    def key(self) -> str:
        """The name in one piece, so that "De La Cruz" and "DeLaCruz" are the same."""
        return "".join(self.words)


def fold(text: str) -> list[str]:
    """Fold a text to its words: a to z and digits alone, initials that stand together as one word.

    >>> fold("J. C. Núñez-O'Neill")
    ['jc', 'nunez', 'oneill']
    """
    mended = text if text.isascii() else ftfy.fix_text(text[:LONGEST])
    bare = "".join(c for c in unicodedata.normalize("NFKD", mended[:LONGEST]) if not unicodedata.combining(c))
    words = _BETWEEN.sub(" ", _SILENT.sub("", anyascii(bare)).lower()).split()
    return _initials_together(words)


def spelled(text: str) -> Spelling:
    """Read a name, written "First Last" or "Last, First", with or without a suffix.

    >>> spelled("McCullers Jr., Lance") == spelled("Lance McCullers Jr.")
    True
    """
    last, comma, first = text.partition(",")
    if not comma:
        return _without_suffix(fold(text), SUFFIXES)
    surname, given = _without_suffix(fold(last), SUFFIXES), _without_suffix(fold(first), SUFFIXES - {"v"})
    return Spelling(words=(*given.words, *surname.words), suffix=surname.suffix or given.suffix)


@lru_cache(maxsize=65536)
def also_called(first: str) -> frozenset[str]:
    """Tell by which first names someone of this (folded) first name may also be known.

    Source: the nickname and diminutive list that the package `nicknames` carries.
    """
    return frozenset(_NICKNAMES.nicknames_of(first)) | frozenset(_NICKNAMES.canonicals_of(first))


def _initials_together(words: list[str]) -> list[str]:
    together: list[str] = []
    open_initials = False
    for word in words:
        if len(word) == 1 and open_initials:
            together[-1] += word
        else:
            together.append(word)
        open_initials = len(word) == 1
    return together


def _without_suffix(words: list[str], suffixes: frozenset[str]) -> Spelling:
    if len(words) >= _FEWEST_WORDS and words[-1] in suffixes:
        return Spelling(words=tuple(words[:-1]), suffix=words[-1])
    return Spelling(words=tuple(words))
