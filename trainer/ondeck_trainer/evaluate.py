"""The judgement of a fit on days that it never saw, beside a constant and the public reference of its task."""

from typing import Final

import numpy as np

from ondeck_core.features.geometry import edge_distance
from ondeck_core.instances import PITCH
from ondeck_core.manifest import Evaluation, Score
from ondeck_trainer.dataset import Dataset
from ondeck_trainer.ensemble import Ensemble, Probabilities
from ondeck_trainer.metrics import reliability, score
from ondeck_trainer.splits import Split

ANCHOR_STEP: Final = 0.001  # xBA is published to three digits: nought means less than this, not never
MODEL: Final = "model"
CONSTANT: Final = "constant"
OUTCOMES: Final = "outcomes"
HIT: Final = "hit"


def evaluate(ensemble: Ensemble, judged: Dataset, shares: Probabilities, days: Split) -> Evaluation:
    """Judge an ensemble on a dataset; `shares` (outcomes,) are those of the days it was fitted on."""
    given = ensemble.predict(judged.features)
    constant = np.tile(shares, (len(judged), 1))
    scores = [score(OUTCOMES, MODEL, given, judged.labels), score(OUTCOMES, CONSTANT, constant, judged.labels)]
    scores += _hit_scores(judged, given, constant) if judged.task.name == "batted_ball" else _zone_scores(judged)
    return Evaluation(
        task=judged.task.name,
        fitted=days.fit,
        calibrated=days.calibrate,
        judged=days.judge,
        rows=len(judged),
        served_fit=False,
        scores=tuple(scores),
        reliability={
            outcome: reliability(given[:, index], judged.labels == index)
            for index, outcome in enumerate(judged.task.outcomes)
        },
    )


def _hit_scores(judged: Dataset, given: Probabilities, constant: Probabilities) -> list[Score]:
    hit = (judged.labels > 0).astype(np.int64)
    published = judged.rows[judged.task.anchors["xba"]].to_numpy().astype(np.float64)
    known = ~np.isnan(published)
    xba = np.clip(published[known], ANCHOR_STEP, 1 - ANCHOR_STEP)
    scores = [score(HIT, MODEL, _two(1 - given[:, 0]), hit), score(HIT, CONSTANT, _two(1 - constant[:, 0]), hit)]
    return [*scores, score(HIT, "xba", _two(xba), hit[known])] if known.any() else scores


def _zone_scores(judged: Dataset) -> list[Score]:
    names = ("plate_x", "plate_z", "sz_top", "sz_bot")
    place = (judged.instances[:, PITCH.index(name)].astype(np.float64) for name in names)
    called = (edge_distance(*place) <= 0).astype(np.int64)
    return [Score(question=OUTCOMES, predictor="rulebook_zone", accuracy=float((called == judged.labels).mean()))]


def _two(yes: Probabilities) -> Probabilities:
    return np.column_stack([1 - yes, yes])
