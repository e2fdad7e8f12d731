"""Names as people write them, folded to what can be compared.

Accents in either Unicode form, mojibake, case, punctuation, blanks and the order of first and last name are not part
of a name; suffixes are, but not everyone writes them.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import ftfy
from anyascii import anyascii

LONGEST: Final = 200
LOST: Final = "?\ufffd"  # what stands where a letter was lost
_BYTES_LITERAL: Final = re.compile(r"""^\s*b(['"])(.*)\1\s*$""")
_ESCAPED_BYTES: Final = re.compile(r"(?:\\+x[0-9a-fA-F]{2})+")
_ESCAPED_CODE: Final = re.compile(r"\\+u([0-9a-fA-F]{4})")
_ID_BEHIND: Final = re.compile(r"\\[a-z'.]{2,8}\d{2}\s*$")  # Baseball-Reference's exports
_BRACKETED: Final = re.compile(r"[(\[{]([^)\]}]*)[)\]}]")
_SUFFIX_ALONE: Final = re.compile(r"\s*(?:jr|sr|ii|iii|iv)\.?\s*", re.IGNORECASE)


def mended(text: str) -> str:
    r"""Undo what is no part of a name but of the tool that wrote it; brackets go unless they hold a suffix.

    >>> mended(r"Jos\xc3\xa9 Ram\xc3\xadrez (3B)").strip()
    'José Ramírez'
    """
    text = text[:LONGEST]
    if "\\" in text:
        text = _unescaped(text)
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if not text.isascii():
        text = ftfy.fix_text(text)
    return _BRACKETED.sub(_suffix_or_nothing, text)


def _unescaped(text: str) -> str:
    bare = _BYTES_LITERAL.sub(r"\2", _ID_BEHIND.sub("", text))
    return _ESCAPED_CODE.sub(lambda found: chr(int(found[1], 16)), _ESCAPED_BYTES.sub(_decoded, bare))


def _decoded(found: re.Match[str]) -> str:
    content = bytes.fromhex(re.sub(r"\\+x", "", found[0]))
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _suffix_or_nothing(found: re.Match[str]) -> str:
    return f" {found[1]} " if _SUFFIX_ALONE.fullmatch(found[1]) else " "


SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "v"})
_SURE_SUFFIXES: Final = SUFFIXES - {"v"}
_IN_WORDS: Final = {"junior": "jr", "senior": "sr", "2nd": "ii", "3rd": "iii"}
_SILENT: Final = re.compile(f"['\u2018\u2019\u02bc`{LOST}]")
_BETWEEN: Final = re.compile(r"[^a-z0-9]+")
_FEWEST_WORDS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedName:
    """A folded name: its words in the order first to last, initials together ("jc"), and its suffix, if it has one.

    `lossy`: letters of it were lost on the way.
    """

    words: tuple[str, ...]
    suffix: str = ""
    lossy: bool = False

    @property
    def key(self) -> str:
        """The name in one piece, so that "De La Cruz" and "DeLaCruz" are the same."""
        return "".join(self.words)


def fold(text: str) -> list[str]:
    """Fold a text to its words: a to z and digits alone, initials that stand together as one word.

    >>> fold("J. C. Núñez-O'Neill")
    ['jc', 'nunez', 'oneill']
    """
    return _folded(mended(text))


def normalize(text: str) -> NormalizedName:
    """Read a name, written "First Last" or "Last, First", with or without a suffix, which may have a comma of its own.

    >>> spelled("McCullers Jr., Lance") == spelled("Lance McCullers Jr.") == spelled("McCullers, Lance, Jr.")
    True
    """
    clean = mended(text)
    lossy = any(mark in clean for mark in LOST)
    parts = [_folded(part) for part in clean.split(",")]
    suffixes = [part[0] for part in parts[1:] if len(part) == 1 and part[0] in _SURE_SUFFIXES]
    names = [part for part in parts if part and not (len(part) == 1 and part[0] in _SURE_SUFFIXES)]
    words, suffix = _in_order(names)
    return NormalizedName(words=words, suffix=suffix or next(iter(suffixes), ""), lossy=lossy)


def dropped(text: str) -> str:
    """Fold a text without the letters that have accents, as tools that know none leave it."""
    bare = unicodedata.normalize("NFC", text).encode("ascii", "ignore").decode()
    return "".join(_folded(bare))


def _in_order(parts: Sequence[list[str]]) -> tuple[tuple[str, ...], str]:
    """Put the parts between commas in the order first to last; tells the suffix apart."""
    if len(parts) <= 1:
        return _without_suffix(parts[0] if parts else [], SUFFIXES)
    surname, of_surname = _without_suffix(parts[0], SUFFIXES)
    given, of_given = _without_suffix([word for part in parts[1:] for word in part], _SURE_SUFFIXES)
    return (*given, *surname), of_surname or of_given


def _folded(text: str) -> list[str]:
    bare = "".join(c for c in unicodedata.normalize("NFKD", text[:LONGEST]) if not unicodedata.combining(c))
    words = _BETWEEN.sub(" ", _SILENT.sub("", anyascii(bare)).lower()).split()
    return _initials_together(words)


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


def _without_suffix(words: Sequence[str], suffixes: frozenset[str]) -> tuple[tuple[str, ...], str]:
    if len(words) >= _FEWEST_WORDS and words[-1] in suffixes:
        return tuple(words[:-1]), words[-1]
    if len(words) > _FEWEST_WORDS and words[-1] in _IN_WORDS:
        return tuple(words[:-1]), _IN_WORDS[words[-1]]
    return tuple(words), ""
