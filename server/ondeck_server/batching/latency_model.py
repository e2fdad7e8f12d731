"""How long rows take: what a machine showed at warm-up, corrected by every run since."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MEMORY: Final = 0.9  # how much of what is known stays after one more run
_FARTHEST: Final = 20.0  # one run that the machine held up for long says little of the next


@dataclass(frozen=True, kw_only=True)
class TimedRun:
    """One run: how many rows, how many seconds."""

    rows: int
    seconds: float


class LatencyModel:
    """Seconds that a run of so many rows takes: a start, and so much for each row."""

    def __init__(self, warm_up: Sequence[TimedRun] = ()) -> None:
        self._intercept, self._slope = _fit_line(warm_up)
        self._correction = 1.0

    def seconds(self, rows: int) -> float:
        """Tell how long a run of so many rows will take."""
        return self._correction * (self._intercept + self._slope * rows)

    def rows_within(self, seconds: float) -> int:
        """Tell how many rows a run of so many seconds may have."""
        start, row = self._correction * self._intercept, self._correction * self._slope
        return int(max(seconds - start, 0.0) / row) if row > 0 else sys.maxsize

    def update(self, run: TimedRun) -> None:
        """Take a run into account."""
        expected = self._intercept + self._slope * run.rows
        if expected > 0:
            seen = min(run.seconds / expected, _FARTHEST)
            self._correction = _MEMORY * self._correction + (1 - _MEMORY) * seen


def _fit_line(warm_up: Sequence[TimedRun]) -> tuple[float, float]:
    """Draw a line through the smallest and the largest run."""
    if not warm_up:
        return 0.0, 0.0
    small, large = min(warm_up, key=lambda run: run.rows), max(warm_up, key=lambda run: run.rows)
    row = max(large.seconds - small.seconds, 0.0) / max(large.rows - small.rows, 1)
    return max(small.seconds - row * small.rows, 0.0), row
