"""How many rows a second a caller may ask for.

The kept libraries (limits, throttled-py, token-bucket) refuse for ever what costs more than a full bucket. Here a batch
of any size is taken from a caller who owes no more than the rows of a second, and tat off before the next is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ondeck_core.errors import OndeckError
from ondeck_server.security.identity import Caller, caller_id

BURST_SECONDS: Final = 1.0  # of the rate may be owed
LEAST_WAIT: Final = 0.01  # seconds that a caller is told to wait: less cannot be said in words, or kept to
MOST_CALLERS: Final = 10_000  # remembered at a time; those who owe least are forgotten first


class RateExceededError(OndeckError):
    """The caller has asked for more rows than its rate allows; nothing of this call was run."""

    def __init__(self, subject: str, limit: float, wait_seconds: float) -> None:
        self.subject = subject
        self.wait_seconds = wait_seconds
        self.limit = limit
        super().__init__(
            f"{subject} asks for more than {limit:g} rows a second; try again in {wait_seconds:.2f} s, or ask for less"
        )


def next_tat(tat: float, now: float, rows: int, rate: float) -> float:
    """Tell when a caller who has tat off all until `tat` will have tat off `rows` more; all in seconds."""
    return max(tat, now) + rows / rate


def seconds_to_wait(tat: float, now: float) -> float:
    """Tell how many seconds a caller must wait before it may ask again; 0: not at all."""
    return max(0.0, tat - now - BURST_SECONDS)


@dataclass(kw_only=True)
class GcraLimiter:
    """Keeps every caller to `rows_per_second`; 0: nobody."""

    rows_per_second: float
    clock: Callable[[], float] = time.monotonic
    _tats: dict[str, float] = field(default_factory=dict)

    def consume(self, caller: Caller, rows: int) -> None:
        """Let a caller ask for so many rows.

        Raises:
            RateExceededError: it must wait first; the error says how long.
        """
        if not self.rows_per_second:
            return
        subject, now = caller_id(caller), self.clock()
        tat = self._tats.get(subject, now)
        if seconds := seconds_to_wait(tat, now):
            raise RateExceededError(subject, self.rows_per_second, max(seconds, LEAST_WAIT))
        if subject not in self._tats and len(self._tats) >= MOST_CALLERS:
            self._evict(now)
        self._tats[subject] = next_tat(tat, now, rows, self.rows_per_second)

    def _evict(self, now: float) -> None:
        owing = sorted((tat, subject) for subject, tat in self._tats.items() if tat > now)
        self._tats = {subject: tat for tat, subject in owing[-MOST_CALLERS // 2 :]}
