"""Records trends in memory until they are stored; what cannot be stored stays for a day."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ondeck_server.dashboard.metric_samples import ServerSample
from ondeck_server.dashboard.trends import SHORT_SECONDS, TrendPoint, begin_of, trend_point

MAX_PENDING: Final = 288  # five-minute points of a day


class TrendRecorder:
    """Makes a point of each five minutes; `pending` are those that are not stored yet, the oldest first."""

    def __init__(self) -> None:
        self.pending: deque[TrendPoint] = deque(maxlen=MAX_PENDING)
        self._first: ServerSample | None = None
        self._last: ServerSample | None = None

    def add(self, sample: ServerSample) -> None:
        """Add a sample; one of another interval than the first completes the point of that interval.

        If the clock was set back, the interval begins anew.
        """
        self._last = sample
        if self._first is None or sample.at < self._first.at:
            self._first = sample
        elif begin_of(sample.at, SHORT_SECONDS) != begin_of(self._first.at, SHORT_SECONDS):
            self.pending.append(replace(trend_point(self._first, sample), seconds=SHORT_SECONDS))
            self._first = sample

    def recent(self) -> list[TrendPoint]:
        """Return the points that are not stored, with that of the interval that has not ended."""
        if self._first is None or self._last is None or self._last is self._first:
            return list(self.pending)
        return [*self.pending, trend_point(self._first, self._last)]

    def forget(self, stored: Sequence[TrendPoint]) -> None:
        """Drop points that are stored now."""
        begins = {point.began_at for point in stored}
        kept = [point for point in self.pending if point.began_at not in begins]
        self.pending.clear()
        self.pending.extend(kept)
