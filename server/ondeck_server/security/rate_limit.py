"""The rate limit in rows a second for each caller, by the generic cell rate algorithm (GCRA).

The maintained libraries (limits, throttled-py, token-bucket) always refuse a call that costs more than a full bucket.
Here a batch of any size is accepted while the caller's debt is at most one second of rows; it delays the next call.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ondeck_core.errors import OndeckError
from ondeck_server.security.identity import Caller, caller_id

BURST_SECONDS: Final = 1.0  # tolerated debt of a caller
MIN_WAIT_SECONDS: Final = 0.01  # shorter delays are reported as this one
MAX_CALLERS: Final = 10_000  # remembered at a time; those with the smallest debt are forgotten first


class RateExceededError(OndeckError):
    """The caller exceeds its rate; no row of this call was run."""

    def __init__(self, subject: str, limit: float, wait_seconds: float) -> None:
        self.subject = subject
        self.wait_seconds = wait_seconds
        self.limit = limit
        super().__init__(
            f"{subject} exceeds {limit:g} rows a second; try again in {wait_seconds:.2f} s, or send fewer rows"
        )


@dataclass(kw_only=True)
class GcraLimiter:
    """Limits every caller to `rows_per_second`; 0: no limit.

    A theoretical arrival time (TAT) is the time at which a caller has no debt.
    """

    rows_per_second: float
    clock: Callable[[], float] = time.monotonic
    _tats: dict[str, float] = field(default_factory=dict)

    def consume(self, caller: Caller, rows: int) -> None:
        """Count rows of a caller.

        Raises:
            RateExceededError: the caller must wait first; the error has the seconds.
        """
        if not self.rows_per_second:
            return
        subject, now = caller_id(caller), self.clock()
        tat = self._tats.get(subject, now)
        wait = tat - now - BURST_SECONDS
        if wait > 0:
            raise RateExceededError(subject, self.rows_per_second, max(wait, MIN_WAIT_SECONDS))
        if subject not in self._tats and len(self._tats) >= MAX_CALLERS:
            self._evict(now)
        self._tats[subject] = max(tat, now) + rows / self.rows_per_second

    def _evict(self, now: float) -> None:
        in_debt = sorted((tat, subject) for subject, tat in self._tats.items() if tat > now)
        self._tats = {subject: tat for tat, subject in in_debt[-MAX_CALLERS // 2 :]}
