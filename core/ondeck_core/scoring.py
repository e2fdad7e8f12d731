"""Scores of probabilities of shape (n, outcomes) on labels of shape (n,): log loss, Brier score, calibration error."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ondeck_core.evaluation import ReliabilityBin

BINS: Final = 20
MIN_PROBABILITY: Final = 1e-6
_BINARY: Final = 2

Probabilities: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]


def losses(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Compute -log p of each observed outcome; p is clipped at 1e-6 so that no single row dominates."""
    row_losses: NDArray[np.float64] = -np.log(
        np.clip(probabilities[np.arange(len(labels)), labels], MIN_PROBABILITY, 1.0)
    )
    return row_losses


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Compute the mean of the losses."""
    return float(losses(probabilities, labels).mean())


def squared_errors(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Compute the squared error of each row, summed over outcomes; halved for two outcomes, whose errors are equal."""
    squared: NDArray[np.float64] = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return squared / 2 if probabilities.shape[1] == _BINARY else squared


def brier(probabilities: Probabilities, labels: Labels) -> float:
    """Compute the mean of the squared errors."""
    return float(squared_errors(probabilities, labels).mean())


def is_top_outcome(probabilities: Probabilities, labels: Labels) -> NDArray[np.bool_]:
    """Return for each row whether the most probable outcome was observed."""
    matched: NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
    return matched


def calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Compute the expected calibration error over 20 bins of equal count, the mean over three or more outcomes."""
    outcomes = range(1, _BINARY) if probabilities.shape[1] == _BINARY else range(probabilities.shape[1])
    return float(np.mean([mean_gap(reliability(probabilities[:, k], labels == k)) for k in outcomes]))


def reliability(predicted: NDArray[np.float64], observed: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Sort rows by predicted probability into 20 bins of equal count."""
    order = np.argsort(predicted, kind="stable")
    return tuple(
        ReliabilityBin(rows=len(part), predicted=float(predicted[part].mean()), observed=float(observed[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    )


def mean_gap(bins: tuple[ReliabilityBin, ...]) -> float:
    """Compute the mean over rows of the distance between predicted and observed of their bin."""
    rows = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.predicted - each.observed) for each in bins) / rows
