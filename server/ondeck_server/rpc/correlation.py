"""The id that a call is known by, to its caller and in the log."""

import secrets
from itertools import count
from typing import Final

HEADER: Final = "x-correlation-id"
LONGEST: Final = 128

_PROCESS: Final = secrets.token_hex(6)  # random once: to ask the system for every call costs more than a number
_NUMBERS: Final = count()


def fits(given: object) -> bool:
    """Tell whether what a caller gave can be his id."""
    return isinstance(given, str) and 0 < len(given) <= LONGEST


def new() -> str:
    """Make an id."""
    return f"{_PROCESS}{next(_NUMBERS):08x}"
