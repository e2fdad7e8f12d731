"""Evaluation of predicted probabilities on labelled rows: metrics, baselines, slices, coverage and ablation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ondeck_core import scoring
from ondeck_core.derived_stats import batted_ball_stats, prediction_sets
from ondeck_core.evaluation import CONSTANT, Ablation, Coverage, Evaluation, FieldDrift, Interval, Metrics, Slice
from ondeck_core.features.strike_zone_distances import edge_distance
from ondeck_core.instances import PITCH
from ondeck_core.manifest import PredictionSets, Window
from ondeck_trainer.data.dataset import Dataset, Labels
from ondeck_trainer.evaluation.bootstrap import GameBootstrap
from ondeck_trainer.model.ensemble import Ensemble, Probabilities, fit_ensemble

BATTED_BALL: Final = "batted_ball"
CALLED_STRIKE: Final = "called_strike"
HIT: Final = "hit_"
RULE_BOOK: Final = "rulebook_zone"
XBA_STEP: Final = 0.001  # xBA has three digits, so that 0 is less than this, not never
MIN_SLICE_ROWS: Final = 50  # metrics of fewer rows are noise
_BANDS: Final = {BATTED_BALL: ("launch_speed", (70, 80, 90, 95, 100, 105)), "": ("release_speed", (80, 85, 90, 95))}
_TWO: Final = 2


@dataclass(frozen=True, kw_only=True)
class EvaluationContext:
    """What is known of the evaluated predictor: its windows, prediction sets, and whether it is the published graph."""

    fit_window: Window
    calibration_window: Window
    outcome_shares: tuple[float, ...]
    prediction_sets: tuple[PredictionSets, ...]
    is_serving_fit: bool
    version: int | None = None
    ablation: tuple[Ablation, ...] = ()
    baselines: Mapping[str, Metrics] = field(default_factory=dict)
    drift: tuple[FieldDrift, ...] = ()
    has_training_days: bool = False


def evaluate(probabilities: Probabilities, rows: Dataset, context: EvaluationContext) -> Evaluation:
    """Evaluate probabilities of shape (n, outcomes) on n rows."""
    games = GameBootstrap(rows.rows["game_pk"].to_numpy().astype(np.int64))
    constant = np.tile(np.array(context.outcome_shares), (len(rows), 1))
    return Evaluation(
        **compute_metrics(probabilities, rows).model_dump(),
        task=rows.task.name,
        version=context.version,
        fit_window=context.fit_window,
        calibration_window=context.calibration_window,
        evaluation_window=rows.window,
        rows=len(rows),
        games=games.count,
        is_serving_fit=context.is_serving_fit,
        has_training_days=context.has_training_days,
        baselines={CONSTANT: compute_metrics(constant, rows), **compute_public_baselines(rows), **context.baselines},
        intervals=_intervals(probabilities, rows, games),
        prediction_sets=tuple(_coverage(probabilities, rows, sets) for sets in context.prediction_sets),
        slices=_slices(probabilities, rows),
        ablation=context.ablation,
        drift=context.drift,
        reliability={
            outcome: scoring.reliability(probabilities[:, index], rows.labels == index)
            for index, outcome in enumerate(rows.task.outcomes)
        },
        account=rows.account,
    )


def compute_metrics(probabilities: Probabilities, rows: Dataset) -> Metrics:
    """Compute every metric of the task from probabilities of shape (n, outcomes)."""
    found = _classification_metrics(probabilities, rows.labels)
    if rows.task.name == BATTED_BALL:
        found |= _classification_metrics(*_hit_or_out(probabilities, rows), prefix=HIT)
        expected = batted_ball_stats(probabilities.astype(np.float32))["xwoba"].astype(np.float64)
        found["xwoba_rmse"] = _rmse(expected - _column(rows, rows.task.value_column))
    return Metrics(**found)


def compute_public_baselines(rows: Dataset) -> dict[str, Metrics]:
    """Compute the metrics of MLB's xBA and xwOBA or of the rule-book zone, on the rows that have them."""
    if rows.task.name == BATTED_BALL:
        return _expected_stats(rows)
    return {RULE_BOOK: _rule_book_zone(rows)} if rows.task.name == CALLED_STRIKE else {}


def _expected_stats(rows: Dataset) -> dict[str, Metrics]:
    xba = _column(rows, rows.task.baselines["xba"])
    found, known = {}, ~np.isnan(xba)
    if known.any():
        hit = np.clip(xba[known], XBA_STEP, 1 - XBA_STEP)
        labels = (rows.labels[known] > 0).astype(np.int64)
        found["xba"] = Metrics(**_classification_metrics(np.column_stack([1 - hit, hit]), labels, prefix=HIT))
    error = _rmse(_column(rows, rows.task.baselines["xwoba"]) - _column(rows, rows.task.value_column))
    return found if error is None else found | {"xwoba": Metrics(xwoba_rmse=error)}


def _rule_book_zone(rows: Dataset) -> Metrics:
    names = ("plate_x", "plate_z", "sz_top", "sz_bot")
    location = (rows.instances[:, PITCH.index(name)].astype(np.float64) for name in names)
    called = (edge_distance(*location) <= 0).astype(np.int64)
    return Metrics(accuracy=float((called == rows.labels).mean()))


def _classification_metrics(probabilities: Probabilities, labels: Labels, prefix: str = "") -> dict[str, float | None]:
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


def _hit_or_out(probabilities: Probabilities, rows: Dataset) -> tuple[Probabilities, Labels]:
    """Reduce the outcomes of a batted ball to out (the first) and hit (all others)."""
    return np.column_stack([probabilities[:, 0], 1 - probabilities[:, 0]]), (rows.labels > 0).astype(np.int64)


def _column(rows: Dataset, name: str | None) -> NDArray[np.float64]:
    return rows.rows[name or ""].cast(float).to_numpy()


def _rmse(errors: NDArray[np.float64]) -> float | None:
    """Compute the root mean square of the errors that are not NaN; None if all are."""
    known = errors[~np.isnan(errors)]
    return float(np.sqrt((known**2).mean())) if len(known) else None


def _intervals(probabilities: Probabilities, rows: Dataset, games: GameBootstrap) -> dict[str, Interval]:
    found = _question_intervals(probabilities, rows.labels, games)
    if rows.task.name == BATTED_BALL:
        hit = _question_intervals(*_hit_or_out(probabilities, rows), games)
        found |= {HIT + name: each for name, each in hit.items()}
    return found


def _question_intervals(probabilities: Probabilities, labels: Labels, games: GameBootstrap) -> dict[str, Interval]:
    means = {
        "log_loss": scoring.losses(probabilities, labels),
        "brier": scoring.squared_errors(probabilities, labels),
        "accuracy": scoring.is_top_outcome(probabilities, labels).astype(np.float64),
    }
    found = {name: games.mean_interval(each) for name, each in means.items()}
    return found | {"ece": games.calibration_interval(probabilities, labels)}


def _coverage(probabilities: Probabilities, rows: Dataset, sets: PredictionSets) -> Coverage:
    inside = prediction_sets(probabilities.astype(np.float32), sets.thresholds)
    covered = inside[np.arange(len(rows)), rows.labels]
    sizes = inside.sum(axis=1)
    return Coverage(
        nominal=sets.coverage,
        empirical=float(covered.mean()),
        mean_size=float(sizes.mean()),
        empty=float((sizes == 0).mean()),
        by_outcome={
            outcome: float(covered[rows.labels == index].mean())
            for index, outcome in enumerate(rows.task.outcomes)
            if (rows.labels == index).any()
        },
    )


def _slices(probabilities: Probabilities, rows: Dataset) -> tuple[Slice, ...]:
    """Compute metrics by month, park, count and speed, of each slice with at least 50 rows."""
    keys = rows.rows.select(
        pl.col("game_date").dt.strftime("%Y-%m").alias("month"),
        pl.col("home_team").alias("park"),
        pl.concat_str(pl.col("balls").cast(pl.String), pl.lit("-"), pl.col("strikes").cast(pl.String)).alias("count"),
        _speed_band(rows.task.name),
    )
    return tuple(
        Slice(
            by=by,
            value=str(value),
            rows=int(chosen.sum()),
            log_loss=scoring.log_loss(probabilities[chosen], rows.labels[chosen]),
            ece=scoring.calibration_error(probabilities[chosen], rows.labels[chosen]),
            accuracy=float(scoring.is_top_outcome(probabilities[chosen], rows.labels[chosen]).mean()),
        )
        for by in keys.columns
        for value in sorted(keys[by].drop_nulls().unique().cast(pl.String))
        if (chosen := (keys[by].cast(pl.String) == value).fill_null(value=False).to_numpy()).sum() >= MIN_SLICE_ROWS
    )


def _speed_band(task: str) -> pl.Expr:
    column, edges = _BANDS.get(task, _BANDS[""])
    names = [f"below {edges[0]}", *(f"{low} to {high}" for low, high in pairwise(edges))]
    band: pl.Expr = pl.when(pl.col(column).is_not_null()).then(pl.lit(f"from {edges[-1]}"))
    for edge, name in zip(reversed(edges), reversed(names), strict=True):
        band = pl.when(pl.col(column) < edge).then(pl.lit(name)).otherwise(band)
    return band.alias("speed_band")


def measure_ablation(ensemble: Ensemble, calibrate: Dataset, evaluated: Dataset) -> tuple[Ablation, ...]:
    """Measure the log loss of each member alone, and the increase when weights and calibration are refit without it."""

    def loss_with(*names: str) -> float:
        refit = fit_ensemble({name: ensemble.members[name] for name in names}, calibrate)
        return scoring.log_loss(refit.predict(evaluated.features), evaluated.labels)

    complete = scoring.log_loss(ensemble.predict(evaluated.features), evaluated.labels)
    others = {name: [each for each in ensemble.members if each != name] for name in ensemble.members}
    return tuple(
        Ablation(
            member=name,
            weight=weight,
            log_loss_alone=loss_with(name),
            log_loss_increase=loss_with(*others[name]) - complete if others[name] else 0.0,
        )
        for name, weight in ensemble.weights.items()
    )
