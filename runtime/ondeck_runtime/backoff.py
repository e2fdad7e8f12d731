"""Exponential backoff."""

from typing import Final

_MAX_DOUBLINGS: Final = 62  # far beyond every limit, and safe for floats


def backoff_seconds(failures: int, *, first: float, longest: float) -> float:
    """Return the delay after so many consecutive failures: 0 after none, then `first`, doubled up to `longest`."""
    if failures <= 0:
        return 0.0
    return min(longest, first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
