"""Redaction: passwords in texts that programs print, log or store, replaced by ***.

Every text of an error, a log event or a traceback passes through `redact` before anyone can read it.
"""

import re
from typing import Final

HIDDEN: Final = "***"
_NAMES: Final = r"(?:ssl|pg)?pass(?:word|wd|phrase)?|pwd|secret|(?:access_?|auth_?)?token|api_?key"
_VALUE: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s&]+)"""
_PATTERNS: Final = (
    # The user info of a database's URL; its password may have any character, spaces and @ included.
    (re.compile(r"(\bpostgres(?:ql)?(?:\+\w+)?://[^:@\s]*):.*@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    # The user info of any other URL, which may be a token alone.
    (
        re.compile(r"((?<![\w+.-])(?!postgres)[a-z][a-z0-9+.-]*://)(?:[^\s/:@]*:\S*@|[^\s/@]*@)", re.IGNORECASE),
        rf"\1{HIDDEN}@",
    ),
    # password=... in a query, in libpq's keywords, as a variable of the environment, as an option or in JSON.
    (
        re.compile(rf"((?:\b|_)(?:{_NAMES})(?:\s*=\s*|[\"']\s*:\s*)){_VALUE}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str) -> str:
    """Return a text without its passwords: of URLs, of `password=...` in a query or connection string, of tokens."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
