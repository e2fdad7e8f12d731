"""How prediction sets did: whether they held what happened as often as they say."""

import numpy as np

from ondeck_core.derived_stats import prediction_sets
from ondeck_core.evaluation import Coverage
from ondeck_core.manifest import PredictionSets
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.model.ensemble import Probabilities


def coverage(given: Probabilities, rows: Dataset, stated: PredictionSets) -> Coverage:
    """Judge the sets of one stated coverage on rows with probabilities of shape (n, outcomes)."""
    inside = prediction_sets(given.astype(np.float32), stated.thresholds)
    held = inside[np.arange(len(rows)), rows.labels]
    sizes = inside.sum(axis=1)
    return Coverage(
        nominal=stated.coverage,
        empirical=float(held.mean()),
        mean_size=float(sizes.mean()),
        empty=float((sizes == 0).mean()),
        by_outcome={
            outcome: float(held[rows.labels == index].mean())
            for index, outcome in enumerate(rows.task.outcomes)
            if (rows.labels == index).any()
        },
    )
