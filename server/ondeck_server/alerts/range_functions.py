"""PromQL functions of the samples of one series within a time: rate, increase and their like."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ondeck_server.alerts.sample_history import Doubles

_EXTRAPOLATION_LIMIT: Final = 1.1  # times the mean interval: a longer gap at an end means that the series began there


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """The samples of a series, at least one, with begin < time <= end (seconds)."""

    times: Doubles
    values: Doubles
    begin: float
    end: float


def increase(window: SampleWindow) -> float | None:
    """Return by how much a counter grew, extrapolated to the ends of the window; None: fewer than two samples.

    A value below the one before it means that the counter started again at 0.
    """
    pairs = list(itertools.pairwise(window.values))
    if not pairs:
        return None
    grown = window.values[-1] - window.values[0] + sum(before for before, value in pairs if value < before)
    return grown * _extrapolation(window, grown)


def rate(window: SampleWindow) -> float | None:
    """Return the increase of a counter per second; None: fewer than two samples."""
    grown = increase(window)
    return None if grown is None else grown / (window.end - window.begin)


def delta(window: SampleWindow) -> float | None:
    """Return by how much a gauge changed, extrapolated to the ends of the window; None: fewer than two samples."""
    if len(window.values) == 1:
        return None
    return (window.values[-1] - window.values[0]) * _extrapolation(window, None)


def changes(window: SampleWindow) -> float:
    """Return how often the value changed."""
    return float(sum(before != value for before, value in itertools.pairwise(window.values)))


def _extrapolation(window: SampleWindow, grown: float | None) -> float:
    """Return the factor from the sampled interval to the window; a counter is not extrapolated below 0."""
    times = window.times
    sampled = times[-1] - times[0]
    mean = sampled / (len(times) - 1)
    before, after = times[0] - window.begin, window.end - times[-1]
    if grown is not None and grown > 0 and window.values[0] >= 0:
        before = min(before, sampled * window.values[0] / grown)
    limit = mean * _EXTRAPOLATION_LIMIT
    ends = (gap if gap < limit else mean / 2 for gap in (before, after))
    return (sampled + sum(ends)) / sampled


RANGE_FUNCTIONS: Final[Mapping[str, Callable[[SampleWindow], float | None]]] = {
    "rate": rate,
    "increase": increase,
    "delta": delta,
    "changes": changes,
    "min_over_time": lambda window: min(window.values),
    "max_over_time": lambda window: max(window.values),
    "avg_over_time": lambda window: sum(window.values) / len(window.values),
    "sum_over_time": lambda window: sum(window.values),
    "count_over_time": lambda window: float(len(window.values)),
    "last_over_time": lambda window: window.values[-1],
}
