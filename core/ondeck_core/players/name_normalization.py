"""Normalization of player names for comparison.

Accents, mojibake, escapes, case, punctuation, whitespace, annotations in brackets and the order of first and last name
do not distinguish names. A suffix does, but not every source writes it.
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

from ondeck_core.players.models import MAX_LENGTH

REPLACEMENTS: Final = "?\ufffd"  # placeholders of a letter that a tool could not encode
_BYTES_LITERAL: Final = re.compile(r"""^\s*b(['"])(.*)\1\s*$""")
_ESCAPED_BYTES: Final = re.compile(r"(?:\\+x[0-9a-fA-F]{2})+")
_ESCAPED_CODE: Final = re.compile(r"\\+u([0-9a-fA-F]{4})")
_TRAILING_ID: Final = re.compile(r"\\[a-z'.]{2,8}\d{2}\s*$")  # in exports of Baseball-Reference
_BRACKETED: Final = re.compile(r"[(\[{]([^)\]}]*)[)\]}]")
_ONLY_SUFFIX: Final = re.compile(r"\s*(?:jr|sr|ii|iii|iv)\.?\s*", re.IGNORECASE)
SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "v"})
_UNAMBIGUOUS_SUFFIXES: Final = SUFFIXES - {"v"}
_SUFFIX_WORDS: Final = {"junior": "jr", "senior": "sr", "2nd": "ii", "3rd": "iii"}
_APOSTROPHES: Final = re.compile(f"['\u2018\u2019\u02bc`{REPLACEMENTS}]")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_MIN_WORDS: Final = 2


def clean_text(text: str) -> str:
    r"""Undo escapes and wrong encodings, and remove text in brackets unless it is a suffix.

    >>> clean_text(r"Jos\xc3\xa9 Ram\xc3\xadrez (3B)").strip()
    'José Ramírez'
    """
    text = text[:MAX_LENGTH]
    if "\\" in text:
        text = _unescape(text)
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if not text.isascii():
        text = ftfy.fix_text(text)
    return _BRACKETED.sub(_keep_suffix, text)


def _unescape(text: str) -> str:
    bare = _BYTES_LITERAL.sub(r"\2", _TRAILING_ID.sub("", text))
    return _ESCAPED_CODE.sub(lambda found: chr(int(found[1], 16)), _ESCAPED_BYTES.sub(_decode_bytes, bare))


def _decode_bytes(found: re.Match[str]) -> str:
    content = bytes.fromhex(re.sub(r"\\+x", "", found[0]))
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _keep_suffix(found: re.Match[str]) -> str:
    return f" {found[1]} " if _ONLY_SUFFIX.fullmatch(found[1]) else " "


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedName:
    """A normalized name: the words from first to last name, consecutive initials joined ("jc"), and the suffix.

    `lossy`: a letter of the name was lost in an encoding.
    """

    words: tuple[str, ...]
    suffix: str = ""
    lossy: bool = False

    @property
    def key(self) -> str:
        """The words joined, so that "De La Cruz" and "DeLaCruz" are equal."""
        return "".join(self.words)


def fold(text: str) -> list[str]:
    """Fold a text to words of a-z and digits, with consecutive initials joined to one word.

    >>> fold("J. C. Núñez-O'Neill")
    ['jc', 'nunez', 'oneill']
    """
    return _fold(clean_text(text))


def normalize(text: str) -> NormalizedName:
    """Normalize a name in the form "First Last" or "Last, First", with an optional suffix.

    >>> normalize("McCullers Jr., Lance") == normalize("Lance McCullers Jr.") == normalize("McCullers, Lance, Jr.")
    True
    """
    clean = clean_text(text)
    lossy = any(mark in clean for mark in REPLACEMENTS)
    parts = [_fold(part) for part in clean.split(",")]
    suffixes = [part[0] for part in parts[1:] if len(part) == 1 and part[0] in _UNAMBIGUOUS_SUFFIXES]
    names = [part for part in parts if part and not (len(part) == 1 and part[0] in _UNAMBIGUOUS_SUFFIXES)]
    words, suffix = _order_words(names)
    return NormalizedName(words=words, suffix=suffix or next(iter(suffixes), ""), lossy=lossy)


def drop_accented(text: str) -> str:
    """Fold a text without its accented letters, as written by tools that drop them."""
    bare = unicodedata.normalize("NFC", text).encode("ascii", "ignore").decode()
    return "".join(_fold(bare))


def _order_words(parts: Sequence[list[str]]) -> tuple[tuple[str, ...], str]:
    """Return the words of comma-separated parts from first to last name, and the suffix."""
    if len(parts) <= 1:
        return _split_suffix(parts[0] if parts else [], SUFFIXES)
    surname, of_surname = _split_suffix(parts[0], SUFFIXES)
    given, of_given = _split_suffix([word for part in parts[1:] for word in part], _UNAMBIGUOUS_SUFFIXES)
    return (*given, *surname), of_surname or of_given


def _fold(text: str) -> list[str]:
    bare = "".join(c for c in unicodedata.normalize("NFKD", text[:MAX_LENGTH]) if not unicodedata.combining(c))
    words = _SEPARATORS.sub(" ", _APOSTROPHES.sub("", anyascii(bare)).lower()).split()
    return _join_initials(words)


def _join_initials(words: list[str]) -> list[str]:
    joined: list[str] = []
    after_initial = False
    for word in words:
        if len(word) == 1 and after_initial:
            joined[-1] += word
        else:
            joined.append(word)
        after_initial = len(word) == 1
    return joined


def _split_suffix(words: Sequence[str], suffixes: frozenset[str]) -> tuple[tuple[str, ...], str]:
    if len(words) >= _MIN_WORDS and words[-1] in suffixes:
        return tuple(words[:-1]), words[-1]
    if len(words) > _MIN_WORDS and words[-1] in _SUFFIX_WORDS:
        return tuple(words[:-1]), _SUFFIX_WORDS[words[-1]]
    return tuple(words), ""
