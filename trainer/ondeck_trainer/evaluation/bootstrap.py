"""Intervals by a bootstrap that draws games, because the pitches of one game are alike."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.evaluation import Interval
from ondeck_core.scoring import BINS
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.model.ensemble import Probabilities

DRAWS: Final = 500
_SEED: Final = 20240928
_TAILS: Final = (2.5, 97.5)
_TWO: Final = 2

Rows = NDArray[np.float64]


class GameBootstrap:
    """The games of n rows, and draws of as many of them with replacement."""

    def __init__(self, games: NDArray[np.int64]) -> None:
        _, self._game = np.unique(games, return_inverse=True)
        self.count = int(self._game.max()) + 1
        draws = np.random.default_rng(_SEED).multinomial(self.count, np.full(self.count, 1 / self.count), DRAWS)
        self._draws = draws.astype(np.float64)

    def sums(self, values: Rows) -> Rows:
        """Sum values of shape (n,) in each draw."""
        summed: Rows = self._draws @ np.bincount(self._game, values, self.count)
        return summed

    def means(self, values: Rows) -> Rows:
        """Average values of shape (n,) in each draw."""
        averaged: Rows = self.sums(values) / self.sums(np.ones(len(values)))
        return averaged

    def mean_interval(self, values: Rows) -> Interval:
        """Tell where the mean of values of shape (n,) lies."""
        return interval(self.means(values))

    def intervals(self, values: Mapping[str, Rows]) -> dict[str, Interval]:
        """Tell where several means lie, by name."""
        return {name: self.mean_interval(each.astype(np.float64)) for name, each in values.items()}

    def calibration_interval(self, probabilities: Probabilities, labels: Labels) -> Interval:
        """Tell where the expected calibration error lies; its bins stay those of all rows."""
        return interval(self.calibration_draws(probabilities, labels))

    def calibration_draws(self, probabilities: Probabilities, labels: Labels) -> Rows:
        """Compute the expected calibration error of each draw."""
        outcomes = range(1, _TWO) if probabilities.shape[1] == _TWO else range(probabilities.shape[1])
        errors: Rows = np.mean([self._gaps(probabilities[:, k], labels == k) for k in outcomes], axis=0)
        return errors

    def _gaps(self, predicted: Rows, happened: NDArray[np.bool_]) -> Rows:
        off = predicted - happened
        parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
        each = (np.abs(self.sums(_only(off, part))) for part in parts)
        gaps: Rows = np.sum([*each], axis=0) / self.sums(np.ones(len(predicted)))
        return gaps


def _only(values: Rows, rows: NDArray[np.intp]) -> Rows:
    kept = np.zeros_like(values)
    kept[rows] = values[rows]
    return kept


def interval(draws: Rows) -> Interval:
    """Cut the tails off."""
    low, high = np.percentile(draws, _TAILS)
    return Interval(low=float(low), high=float(high))
