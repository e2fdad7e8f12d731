"""Samples of the metrics that rules read: every scrape of the last hour, one in five minutes before that."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

FULL_SECONDS: Final = 3600.0  # of which every scrape is kept
THINNED_SECONDS: Final = 300.0  # before that, the first scrape of each such interval
LOOKBACK_SECONDS: Final = 300.0  # a value is that of the last scrape within this time, as in Prometheus
_SCRAPES_PER_THINNING: Final = 20

Doubles: TypeAlias = "array[float]"
Labels: TypeAlias = frozenset[tuple[str, str]]  # without the name of the metric


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSample:
    """One value of one series."""

    name: str
    labels: Labels
    value: float


@dataclass(kw_only=True, slots=True)
class Series:
    """Times (seconds, ascending) and values of one series."""

    times: Doubles = field(default_factory=lambda: array("d"))
    values: Doubles = field(default_factory=lambda: array("d"))

    def between(self, begin: float, end: float) -> tuple[Doubles, Doubles]:
        """Return the samples with begin < time <= end."""
        span = slice(bisect_right(self.times, begin), bisect_right(self.times, end))
        return self.times[span], self.values[span]

    def at(self, time: float) -> float | None:
        """Return the value at exactly this time."""
        index = bisect_left(self.times, time)
        return self.values[index] if index < len(self.times) and self.times[index] == time else None

    def cut(self, time: float) -> None:
        """Drop the samples of this time and of later ones."""
        first = bisect_left(self.times, time)
        del self.times[first:], self.values[first:]

    def keep(self, times: frozenset[float]) -> None:
        """Drop the samples of all other times."""
        kept = [(time, value) for time, value in zip(self.times, self.values, strict=True) if time in times]
        self.times = array("d", [time for time, _ in kept])
        self.values = array("d", [value for _, value in kept])


class SampleHistory:
    """The samples of some metrics, each kept for its own number of seconds."""

    def __init__(self, retention: Mapping[str, float]) -> None:
        self._retention = retention
        self._scrapes: Doubles = array("d")
        self._series: dict[str, dict[Labels, Series]] = {name: {} for name in retention}

    def record(self, time: float, samples: Iterable[MetricSample]) -> None:
        """Append the samples of one scrape; a series that is not among them has ended.

        If the clock was set back, what lies in the future now is dropped.
        """
        if self._scrapes and time <= self._scrapes[-1]:
            self._cut(time)
        self._scrapes.append(time)
        for sample in samples:
            if (family := self._series.get(sample.name)) is not None:
                series = family.setdefault(sample.labels, Series())
                series.times.append(time)
                series.values.append(sample.value)
        if len(self._scrapes) % _SCRAPES_PER_THINNING == 0:
            self._thin(time)

    def append(self, sample: MetricSample) -> None:
        """Add a sample to the last scrape: the result of a recording rule."""
        family = self._series.setdefault(sample.name, {})
        series = family.setdefault(sample.labels, Series())
        series.times.append(self._scrapes[-1])
        series.values.append(sample.value)

    def series_of(self, name: str) -> Mapping[Labels, Series]:
        """Return the series of a metric by their labels."""
        return self._series.get(name, {})

    def scrape_at(self, time: float) -> float | None:
        """Return the time of the last scrape that a value of `time` may come from; None: there is none."""
        index = bisect_right(self._scrapes, time) - 1
        if index < 0 or self._scrapes[index] < time - LOOKBACK_SECONDS:
            return None
        return self._scrapes[index]

    def _cut(self, time: float) -> None:
        del self._scrapes[bisect_left(self._scrapes, time) :]
        for family in self._series.values():
            for labels in list(family):
                family[labels].cut(time)
                if not family[labels].times:
                    del family[labels]

    def _thin(self, now: float) -> None:
        for name, family in self._series.items():
            kept = frozenset(_kept(self._scrapes, now, self._retention.get(name, LOOKBACK_SECONDS)))
            for labels in list(family):
                family[labels].keep(kept)
                if not family[labels].times:
                    del family[labels]
        longest = max(self._retention.values(), default=LOOKBACK_SECONDS)
        self._scrapes = array("d", _kept(self._scrapes, now, longest))


def _kept(times: Iterable[float], now: float, seconds: float) -> Iterable[float]:
    """Yield the times that are kept: of `seconds`, and before the last hour one of each interval."""
    interval = -1.0
    for time in times:
        if time < now - seconds - LOOKBACK_SECONDS:
            continue
        if time >= now - FULL_SECONDS:
            yield time
        elif time // THINNED_SECONDS != interval:
            interval = time // THINNED_SECONDS
            yield time
