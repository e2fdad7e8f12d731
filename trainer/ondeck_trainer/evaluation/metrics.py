"""Figures of merit, with their definitions. Probabilities are of shape (n, outcomes), labels of shape (n,)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ondeck_core.evaluation import ReliabilityBin
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.model.ensemble import Probabilities

BINS: Final = 20
LEAST: Final = 1e-6
_TWO: Final = 2


def figures(probabilities: Probabilities, labels: Labels, prefix: str = "") -> dict[str, float | None]:
    """Compute every figure of one predictor on one question, by name."""
    found = {
        "log_loss": log_loss(probabilities, labels),
        "brier": brier(probabilities, labels),
        "ece": calibration_error(probabilities, labels),
        "auc": area_under_curve(probabilities, labels),
        "accuracy": float(right(probabilities, labels).mean()),
    }
    return {prefix + name: value for name, value in found.items()}


def losses(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Minus log p of what happened, row by row; p is held above one in a million, so that no single row decides."""
    given: NDArray[np.float64] = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], LEAST, 1.0))
    return given


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Mean of the losses."""
    return float(losses(probabilities, labels).mean())


def errors(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Squared error row by row, summed over outcomes; halved for two outcomes, where both errors are the same."""
    squared: NDArray[np.float64] = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return squared / 2 if probabilities.shape[1] == _TWO else squared


def brier(probabilities: Probabilities, labels: Labels) -> float:
    """Mean of the squared errors."""
    return float(errors(probabilities, labels).mean())


def right(probabilities: Probabilities, labels: Labels) -> NDArray[np.bool_]:
    """Whether the likeliest outcome happened, row by row."""
    matched: NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
    return matched


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
        ReliabilityBin(rows=len(part), predicted=float(predicted[part].mean()), observed=float(happened[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    )


def _gap(bins: tuple[ReliabilityBin, ...]) -> float:
    rows = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.predicted - each.observed) for each in bins) / rows
