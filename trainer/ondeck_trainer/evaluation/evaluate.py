"""The judgement of answers on rows that who gave them never saw, beside the references of the task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core import scoring
from ondeck_core.derived_stats import batted_ball_figures
from ondeck_core.evaluation import CONSTANT, Ablation, Evaluation, FieldDrift, Interval, Metrics
from ondeck_core.manifest import PredictionSets, Window
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.evaluation import metrics
from ondeck_trainer.evaluation.baselines import anchors
from ondeck_trainer.evaluation.bootstrap import GameBootstrap
from ondeck_trainer.evaluation.coverage import coverage
from ondeck_trainer.evaluation.slices import slices
from ondeck_trainer.model.ensemble import Probabilities

MODEL: Final = "model"
HIT: Final = "hit_"
BATTED_BALL: Final = "batted_ball"


@dataclass(frozen=True, kw_only=True)
class EvaluationContext:
    """Who is judged: what it was fitted on, what its prediction sets are, whether it is the served graph itself."""

    fit_window: Window
    calibration_window: Window
    outcome_shares: tuple[float, ...]
    prediction_sets: tuple[PredictionSets, ...]
    is_serving_fit: bool
    version: int | None = None
    ablation: tuple[Ablation, ...] = ()
    others: Mapping[str, Metrics] = field(default_factory=dict)
    drift: tuple[FieldDrift, ...] = ()
    has_training_days: bool = False


def evaluate(given: Probabilities, rows: Dataset, judged: EvaluationContext) -> Evaluation:
    """Judge probabilities of shape (n, outcomes) on n rows."""
    games = GameBootstrap(rows.rows["game_pk"].to_numpy().astype(np.int64))
    constant = np.tile(np.array(judged.outcome_shares), (len(rows), 1))
    days = rows.rows["game_date"]
    return Evaluation(
        **figures_of(given, rows).model_dump(),
        task=rows.task.name,
        version=judged.version,
        fit_window=judged.fit_window,
        calibration_window=judged.calibration_window,
        evaluation_window=Window.model_validate({"first_day": days.min(), "last_day": days.max()}),
        rows=len(rows),
        games=games.count,
        is_serving_fit=judged.is_serving_fit,
        has_training_days=judged.has_training_days,
        baselines={CONSTANT: figures_of(constant, rows), **anchors(rows), **judged.others},
        intervals=_intervals(given, rows, games),
        prediction_sets=tuple(coverage(given, rows, sets) for sets in judged.prediction_sets),
        slices=slices(given, rows),
        ablation=judged.ablation,
        drift=judged.drift,
        reliability={
            outcome: scoring.reliability(given[:, index], rows.labels == index)
            for index, outcome in enumerate(rows.task.outcomes)
        },
    )


def figures_of(given: Probabilities, rows: Dataset) -> Metrics:
    """Compute every figure of probabilities of shape (n, outcomes) that the task has."""
    found = metrics.figures(given, rows.labels)
    if rows.task.name == BATTED_BALL:
        found |= metrics.figures(*hit_or_out(given, rows), prefix=HIT)
        found["xwoba_rmse"] = root_mean(worth_errors(given, rows))
    return Metrics(**found)


def hit_or_out(given: Probabilities, rows: Dataset) -> tuple[Probabilities, NDArray[np.int64]]:
    """Ask the question hit or out of the outcomes of a ball in play."""
    return np.column_stack([given[:, 0], 1 - given[:, 0]]), (rows.labels > 0).astype(np.int64)


def worth_errors(given: Probabilities, rows: Dataset) -> NDArray[np.float64]:
    """Squared difference of xwOBA and what the ball was worth, row by row; NaN where that is not known."""
    expected = batted_ball_figures(given.astype(np.float32))["xwoba"].astype(np.float64)
    worth = rows.rows[rows.task.worth or ""].cast(float).to_numpy()
    squared: NDArray[np.float64] = (expected - worth) ** 2
    return squared


def root_mean(squared: NDArray[np.float64]) -> float | None:
    """Take the root of the mean of what is known; None where nothing is."""
    known = squared[~np.isnan(squared)]
    return float(np.sqrt(known.mean())) if len(known) else None


def _intervals(given: Probabilities, rows: Dataset, games: GameBootstrap) -> dict[str, Interval]:
    found = _of_question(given, rows.labels, games)
    if rows.task.name == BATTED_BALL:
        found |= {HIT + name: each for name, each in _of_question(*hit_or_out(given, rows), games).items()}
    return found


def _of_question(given: Probabilities, labels: NDArray[np.int64], games: GameBootstrap) -> dict[str, Interval]:
    return {
        **games.intervals(
            {
                "log_loss": scoring.losses(given, labels),
                "brier": scoring.squared_errors(given, labels),
                "accuracy": scoring.is_top_outcome(given, labels).astype(np.float64),
            }
        ),
        "ece": games.calibration_interval(given, labels),
    }
