"""Bootstrap intervals that resample whole games, because the pitches of one game are correlated."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.evaluation import Interval
from ondeck_core.scoring import BINS
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.model.ensemble import Probabilities

DRAWS: Final = 500
_SEED: Final = 20240928
_PERCENTILES: Final = (2.5, 97.5)
_TWO: Final = 2

Values = NDArray[np.float64]


class GameBootstrap:
    """Resamples of the games of n rows: 500 draws of as many games, with replacement."""

    def __init__(self, games: NDArray[np.int64]) -> None:
        _, self._game = np.unique(games, return_inverse=True)
        self.count = int(self._game.max()) + 1
        draws = np.random.default_rng(_SEED).multinomial(self.count, np.full(self.count, 1 / self.count), DRAWS)
        self._draws = draws.astype(np.float64)

    def mean_interval(self, values: Values) -> Interval:
        """Return the 95 % interval of the mean of values of shape (n,)."""
        return interval(self._sums(values) / self._sums(np.ones(len(values))))

    def calibration_interval(self, probabilities: Probabilities, labels: Labels) -> Interval:
        """Return the 95 % interval of the expected calibration error, with the bins of all rows in every draw."""
        return interval(self.calibration_draws(probabilities, labels))

    def calibration_draws(self, probabilities: Probabilities, labels: Labels) -> Values:
        """Compute the expected calibration error of each draw."""
        outcomes = range(1, _TWO) if probabilities.shape[1] == _TWO else range(probabilities.shape[1])
        errors: Values = np.mean([self._calibration_errors(probabilities[:, k], labels == k) for k in outcomes], axis=0)
        return errors

    def _calibration_errors(self, predicted: Values, observed: NDArray[np.bool_]) -> Values:
        difference = predicted - observed
        bins = np.array_split(np.argsort(predicted, kind="stable"), BINS)
        by_bin = []
        for rows in bins:
            inside = np.zeros_like(difference)
            inside[rows] = difference[rows]
            by_bin.append(np.abs(self._sums(inside)))
        errors: Values = np.sum(by_bin, axis=0) / self._sums(np.ones(len(predicted)))
        return errors

    def _sums(self, values: Values) -> Values:
        """Sum values of shape (n,) in each draw."""
        summed: Values = self._draws @ np.bincount(self._game, values, self.count)
        return summed


def interval(draws: Values) -> Interval:
    """Return the 2.5th and the 97.5th percentile."""
    low, high = np.percentile(draws, _PERCENTILES)
    return Interval(low=float(low), high=float(high))
