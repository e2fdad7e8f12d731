"""The public references that a task is judged beside: MLB's own estimates, and the rule book."""

from typing import Final

import numpy as np

from ondeck_core.evaluation import Metrics
from ondeck_core.features.geometry import edge_distance
from ondeck_core.instances import PITCH
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.evaluation import metrics

RULE_BOOK: Final = "rulebook_zone"
ANCHOR_STEP: Final = 0.001  # xBA is published to three digits: nought means less than this, not never


def anchors(rows: Dataset) -> dict[str, Metrics]:
    """Compute the figures of the references that a task has, on the rows where each is given."""
    if rows.task.name == "batted_ball":
        return _published(rows)
    return {RULE_BOOK: _rule_book(rows)} if rows.task.name == "called_strike" else {}


def _published(rows: Dataset) -> dict[str, Metrics]:
    xba, xwoba, worth = (
        rows.rows[column].cast(float).to_numpy()
        for column in (rows.task.baselines["xba"], rows.task.baselines["xwoba"], rows.task.worth or "")
    )
    known, found = ~np.isnan(xba), {}
    if known.any():
        hit = np.clip(xba[known], ANCHOR_STEP, 1 - ANCHOR_STEP)
        labels = (rows.labels[known] > 0).astype(np.int64)
        found["xba"] = Metrics(**metrics.figures(np.column_stack([1 - hit, hit]), labels, prefix="hit_"))
    if not np.isnan(xwoba - worth).all():
        found["xwoba"] = Metrics(xwoba_rmse=float(np.sqrt(np.nanmean((xwoba - worth) ** 2))))
    return found


def _rule_book(rows: Dataset) -> Metrics:
    names = ("plate_x", "plate_z", "sz_top", "sz_bot")
    place = (rows.instances[:, PITCH.index(name)].astype(np.float64) for name in names)
    called = (edge_distance(*place) <= 0).astype(np.int64)
    return Metrics(accuracy=float((called == rows.labels).mean()))
