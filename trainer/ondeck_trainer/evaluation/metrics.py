"""Metrics of a predictor by name; AUC is scikit-learn's, the others are those of `ondeck_core.scoring`."""

from typing import Final

import numpy as np
from sklearn.metrics import roc_auc_score

from ondeck_core import scoring
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.model.ensemble import Probabilities

_TWO: Final = 2


def figures(probabilities: Probabilities, labels: Labels, prefix: str = "") -> dict[str, float | None]:
    """Compute every metric of one predictor on one question, by name."""
    found = {
        "log_loss": scoring.log_loss(probabilities, labels),
        "brier": scoring.brier(probabilities, labels),
        "ece": scoring.calibration_error(probabilities, labels),
        "auc": area_under_curve(probabilities, labels),
        "accuracy": float(scoring.is_top_outcome(probabilities, labels).mean()),
    }
    return {prefix + name: value for name, value in found.items()}


def area_under_curve(probabilities: Probabilities, labels: Labels) -> float | None:
    """Compute the area under the ROC curve, the mean of one-vs-rest; None if an outcome is not observed."""
    if len(np.unique(labels)) < probabilities.shape[1]:
        return None
    if probabilities.shape[1] == _TWO:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    rest = [roc_auc_score(labels == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    return float(np.mean(rest))
