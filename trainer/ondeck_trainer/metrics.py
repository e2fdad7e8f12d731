"""Figures of merit, with their definitions. Probabilities are of shape (n, outcomes), labels of shape (n,)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ondeck_core.manifest import ReliabilityBin, Score
from ondeck_trainer.dataset import Labels
from ondeck_trainer.ensemble import Probabilities

BINS: Final = 20
LEAST: Final = 1e-6
_TWO: Final = 2


def score(question: str, predictor: str, probabilities: Probabilities, labels: Labels) -> Score:
    """Compute every figure of one predictor on one question."""
    return Score(
        question=question,
        predictor=predictor,
        log_loss=log_loss(probabilities, labels),
        brier=brier(probabilities, labels),
        ece=calibration_error(probabilities, labels),
        auc=area_under_curve(probabilities, labels),
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
    )


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Mean of -log p of what happened; p is held above one in a million, so that no single row decides."""
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], LEAST, 1.0)).mean())


def brier(probabilities: Probabilities, labels: Labels) -> float:
    """Mean squared error, summed over outcomes; halved for two outcomes, where both errors are the same."""
    errors = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1).mean()
    return float(errors / 2 if probabilities.shape[1] == _TWO else errors)


def calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Expected calibration error over 20 equally filled bins; the mean over outcomes where there are more than two."""
    outcomes = range(1, _TWO) if probabilities.shape[1] == _TWO else range(probabilities.shape[1])
    return float(np.mean([_gap(reliability(probabilities[:, k], labels == k)) for k in outcomes]))


def area_under_curve(probabilities: Probabilities, labels: Labels) -> float | None:
    """Area under the ROC curve, the mean of each against the rest; None where an outcome never happened."""
    if len(np.unique(labels)) < probabilities.shape[1]:
        return None
    if probabilities.shape[1] == _TWO:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    rest = [roc_auc_score(labels == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    return float(np.mean(rest))


def reliability(predicted: NDArray[np.float64], happened: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Sort rows by predicted probability into 20 equally filled bins."""
    order = np.argsort(predicted, kind="stable")
    return tuple(
        ReliabilityBin(rows=len(part), predicted=float(predicted[part].mean()), happened=float(happened[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    )


def _gap(bins: tuple[ReliabilityBin, ...]) -> float:
    rows = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.predicted - each.happened) for each in bins) / rows
