"""Names as tools have left them: what was escaped, encoded twice or remarked is undone before a name is read."""

import html
import re
from typing import Final
from urllib.parse import unquote

import ftfy

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
