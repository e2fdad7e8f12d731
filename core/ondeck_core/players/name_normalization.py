"""Normalization of player names for comparison.

Accents, mojibake, escapes, case, punctuation, whitespace, annotations in brackets and the order of first and last name
do not distinguish names. A suffix does, but not every source writes it. Initials are no suffix: "Sample, J.R." and
"Sample, JR" are J. R. Sample, and "Sample, Ian, JR" is Ian Sample Jr.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

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
_SUFFIX_WORDS: Final = {
    "junior": "jr",
    "jnr": "jr",
    "senior": "sr",
    "snr": "sr",
    "2nd": "ii",
    "3rd": "iii",
    "4th": "iv",
}
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
        import ftfy  # noqa: PLC0415  it compiles many patterns, and most names are ASCII

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


class NormalizedName(NamedTuple):
    """A normalized name: the words from first to last name, consecutive initials joined ("jc"), and the suffix.

    `lossy`: a letter of the name was lost in an encoding. It is a tuple, since each look-up makes one.
    """

    words: tuple[str, ...]
    suffix: str = ""
    lossy: bool = False

    @property
    def key(self) -> str:
        """The words joined, so that "De La Cruz" and "DeLaCruz" are equal."""
        return "".join(self.words)


class _Part(NamedTuple):
    """The folded words of a part of a name between commas, and whether single letters make up the last word."""

    words: list[str]
    ends_in_initials: bool


def fold(text: str) -> list[str]:
    """Fold a text to words of a-z and digits, with consecutive initials joined to one word.

    >>> fold("J. C. Núñez-O'Neill")
    ['jc', 'nunez', 'oneill']
    """
    return _fold(clean_text(text)).words


def fold_surname(text: str) -> str:
    """Fold a surname to one word, without the suffix that a source appends to it.

    >>> fold_surname("De La Cruz Jr.")
    'delacruz'
    """
    return "".join(_split_suffix(_fold(clean_text(text)), SUFFIXES)[0])


def fold_suffix(text: str) -> str:
    """Return the suffix that a text is, in lower case; "" if it is none.

    >>> fold_suffix("Jr."), fold_suffix("Jordan")
    ('jr', '')
    """
    words = _fold(text).words
    return words[0] if len(words) == 1 and words[0] in SUFFIXES else ""


def normalize(text: str) -> NormalizedName:
    """Normalize a name in the form "First Last" or "Last, First", with an optional suffix.

    >>> normalize("McCullers Jr., Lance") == normalize("Lance McCullers Jr.") == normalize("McCullers, Lance, Jr.")
    True
    >>> normalize("Sample, JR") == normalize("Sample, J. R.") == normalize("J.R. Sample")
    True
    """
    return read_names(text)[0]


def read_names(text: str) -> tuple[NormalizedName, ...]:
    """Return the names that a text may mean, the most probable first.

    A second one is "De Sample, JR" as J. R. De Sample, where the first is De Sample Jr., and a text without a comma as
    "Last First", which is the order of names in East Asia.
    """
    clean = clean_text(text)
    lossy = any(mark in clean for mark in REPLACEMENTS)
    parts = [part for part in map(_fold, clean.split(",")) if part.words]
    readings = _read_single(parts[0]) if len(parts) == 1 else _read_parts(parts) if parts else [((), "")]
    return tuple(NormalizedName(words, suffix, lossy) for words, suffix in readings)


def drop_accented(text: str) -> str:
    """Fold a text without its accented letters, as written by tools that drop them."""
    bare = unicodedata.normalize("NFC", text).encode("ascii", "ignore").decode()
    return "".join(_fold(bare).words)


_Reading = tuple[tuple[str, ...], str]  # words from first to last name, and suffix


def _read_single(part: _Part) -> list[_Reading]:
    """Read a name without a comma: "First Last" with an optional suffix, else "Last First"."""
    words, suffix = _split_suffix(part, SUFFIXES) if len(part.words) > _MIN_WORDS else (tuple(part.words), "")
    swapped = {(*words[1:], words[0]): suffix, (words[-1], *words[:-1]): suffix} if len(words) >= _MIN_WORDS else {}
    return [(words, suffix), *swapped.items()]


def _read_parts(parts: Sequence[_Part]) -> list[_Reading]:
    """Read a name with commas: "Last, First" or "First Last, Jr.", with an optional suffix in either place."""
    surname, of_surname = _split_suffix(parts[0], SUFFIXES)
    suffixes: list[str] = []
    given_parts: list[_Part] = []
    for part in parts[1:]:
        suffix = _as_suffix(part, is_word_allowed=len(parts[0].words) >= _MIN_WORDS or bool(given_parts))
        if suffix:
            suffixes.append(suffix)
        else:
            given_parts.append(part)
    if given_parts:
        words = [word for part in given_parts for word in part.words]
        given, of_given = _split_suffix(_Part(words, given_parts[-1].ends_in_initials), _UNAMBIGUOUS_SUFFIXES)
        return [((*given, *surname), of_surname or next(iter(suffixes), of_given))]
    as_first_name = (parts[1].words[0], *surname), of_surname or next(iter(suffixes[1:]), "")
    if of_surname or len(surname) == 1:
        return [as_first_name]
    return [(surname, suffixes[0]), as_first_name]


def _as_suffix(part: _Part, *, is_word_allowed: bool) -> str:
    """Return the suffix that a part is; "" if it is a name. "Junior" alone after a surname is a first name."""
    word = part.words[0]
    if len(part.words) > 1 or part.ends_in_initials:
        return ""
    return word if word in _UNAMBIGUOUS_SUFFIXES else _SUFFIX_WORDS.get(word, "") if is_word_allowed else ""


def _fold(text: str) -> _Part:
    text = text[:MAX_LENGTH]
    if not text.isascii():
        text = anyascii("".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)))
    words = _SEPARATORS.sub(" ", _APOSTROPHES.sub("", text).lower()).split()
    joined = _join_initials(words)
    return _Part(joined, bool(words) and len(words[-1]) == 1 < len(joined[-1]))


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


def _split_suffix(part: _Part, suffixes: frozenset[str]) -> _Reading:
    words = part.words
    if part.ends_in_initials:
        return tuple(words), ""
    if len(words) >= _MIN_WORDS and words[-1] in suffixes:
        return tuple(words[:-1]), words[-1]
    if len(words) > _MIN_WORDS and words[-1] in _SUFFIX_WORDS:
        return tuple(words[:-1]), _SUFFIX_WORDS[words[-1]]
    return tuple(words), ""
