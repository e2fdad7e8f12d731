"""Alarm levels of drift, computed from the number of rows and games, and evidence that accumulates over days. Pure.

Rows of one game are correlated, so that games are the units of every test: a level is higher the more the rows of a
game resemble each other. A season of `SEASON_DAYS` quiet days has a false alarm of a kind with a probability of at most
`FALSE_ALARM_RATE`, for each version.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ondeck_core.tail_probabilities import f_quantile, t_quantile, t_tail

SEASON_DAYS: Final = 200
FALSE_ALARM_RATE: Final = 0.05
PAGING_TESTS: Final = 2  # log loss and calibration
EVIDENCE_LEVEL: Final = SEASON_DAYS * PAGING_TESTS / FALSE_ALARM_RATE
MIN_GAMES: Final = 5  # fewer show no variation between games
_MAX_EVIDENCE: Final = 4 * EVIDENCE_LEVEL  # so that an alarm ends after about a week of quiet days
_MIN_P_VALUE: Final = 1e-12
_MIN_EXPECTED_ROWS: Final = 5.0  # of a bin, for the approximation by chi-square (Cochran)

Column: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class AlarmTest:
    """A statistic and the level above which it is an alarm; None: too few games or rows for a test."""

    statistic: float | None = None
    level: float | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether the statistic is above its level."""
        return self.statistic is not None and self.level is not None and self.statistic > self.level


def daily_rate(tests: int) -> float:
    """Return the false alarm rate of one of `tests` tests on one day (Bonferroni, as the tests are correlated)."""
    return FALSE_ALARM_RATE / (SEASON_DAYS * max(tests, 1))


def share_drift(bins: Numbers, games: Numbers, reference: Column, reference_rows: int, rate: float) -> AlarmTest:
    """Test whether shares of bins differ from their reference; `bins` and `games` have a number for each row.

    The statistic is the sum of (share - reference)^2 / reference, the second-order term of the population stability
    index. Without a change it is about (1/n + 1/m) * chi2(bins - 1) for independent rows. Games make it a weighted sum
    of chi-squares, approximated by an F distribution (Rao and Scott, Thomas and Rao).
    """
    rows, codes = len(bins), np.unique(games, return_inverse=True)[1]
    count = int(codes.max(initial=-1)) + 1
    pooled = _pool(reference, rows)
    shares: Column = np.bincount(pooled, reference).astype(np.float64)
    if count < MIN_GAMES or len(shares) < 2:  # noqa: PLR2004  one bin has no shape
        return AlarmTest()
    table = np.bincount(codes * len(shares) + pooled[bins], minlength=count * len(shares)).reshape(count, len(shares))
    counts: Column = table.astype(np.float64)
    found = counts.sum(axis=0) / rows
    deviations: Column = counts - counts.sum(axis=1, keepdims=True) * found
    weights = _variance_weights(deviations, shares, rows)
    freedom = weights.sum() ** 2 / (weights**2).sum()
    scale = max(weights.sum(), len(shares) - 1) * (1 / rows + 1 / reference_rows)
    return AlarmTest(
        statistic=float(((found - shares) ** 2 / shares).sum()),
        level=float(scale * f_quantile(rate, freedom, freedom * (count - 1))),
    )


def _pool(reference: Column, rows: int) -> Numbers:
    """Return the number of the pooled bin of each bin: bins of few expected rows are pooled, the rarest first."""
    order = np.argsort(reference, kind="stable")
    expected = reference[order] * rows
    is_rare = expected < _MIN_EXPECTED_ROWS
    enough = int(np.searchsorted(np.cumsum(expected), _MIN_EXPECTED_ROWS)) + 1
    pooled = max(int(is_rare.sum()), enough) if is_rare.any() else 1
    numbers: Numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.maximum(np.arange(len(order)) - min(pooled, len(order)) + 1, 0)
    return numbers


def _variance_weights(deviations: Column, shares: Column, rows: int) -> Column:
    """Return the weights of the chi-squares: eigenvalues of the covariance between games, 1 for independent rows."""
    games = len(deviations)
    scaled = deviations / np.sqrt(shares * rows * (games - 1) / games)
    weights = np.asarray(np.linalg.svd(scaled, compute_uv=False), dtype=np.float64) ** 2
    return weights[weights > 0] if weights.any() else np.ones(1)


def share_mean_drift(values: Column, games: Numbers, expected: float, rate: float) -> AlarmTest:
    """Test whether the mean of values (n,), each 0 or 1, differs from `expected`; the statistic is |t| of games."""
    mean, error, count = _mean_and_error(values, games)
    if count < MIN_GAMES:
        return AlarmTest()
    error = max(error, math.sqrt(max(expected * (1 - expected), _MIN_P_VALUE) / len(values)))
    return AlarmTest(statistic=abs(mean - expected) / error, level=t_quantile(rate, count - 1))


def p_value_above(values: Column, games: Numbers, bound: float, *, promised_variance: float = 0.0) -> float | None:
    """Return the p-value of a mean of values (n,) above `bound`, by games; None: too few games.

    `promised_variance` is the sum of the variances of the rows by the predictions themselves. The variation between
    games is not taken as less: on a day without a rare outcome there is none, although it was expected.
    """
    mean, error, count = _mean_and_error(values, games)
    if count < MIN_GAMES:
        return None
    error = max(error, math.sqrt(promised_variance) / len(values))
    if not error:
        return 1.0 if mean <= bound else _MIN_P_VALUE
    return max(t_tail((mean - bound) / error, count - 1), _MIN_P_VALUE)


def _mean_and_error(values: Column, games: Numbers) -> tuple[float, float, int]:
    """Return the mean of all rows, its standard error as a ratio of sums over games, and the number of games."""
    rows = len(values)
    if not rows:
        return 0.0, 0.0, 0
    codes = np.unique(games, return_inverse=True)[1]
    count = int(codes.max()) + 1
    mean = float(values.mean())
    deviations = np.bincount(codes, values) - mean * np.bincount(codes)
    return mean, float(np.sqrt((deviations**2).sum() * count / max(count - 1, 1))) / rows, count


def accumulate_evidence(p_values: Iterable[float | None]) -> Iterator[float]:
    """Yield after each day the evidence of a drift that began on that or an earlier day; None: a day without a test.

    A p-value becomes the e-value 1 / (2 sqrt(p)), whose mean is at most 1 without a drift. Evidence is the largest
    product of e-values up to now (CUSUM), at least 1. In n quiet days it reaches a level with a probability of at most
    n / level, however often it is looked at.
    """
    evidence = 1.0
    for p_value in p_values:
        if p_value is not None:
            evidence = min(max(evidence, 1.0) / (2 * max(p_value, _MIN_P_VALUE) ** 0.5), _MAX_EVIDENCE)
        yield max(evidence, 1.0)
