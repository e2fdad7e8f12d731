"""Evaluation of published versions through their graphs: one version, or two on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ondeck_core import scoring
from ondeck_core.errors import OndeckError
from ondeck_core.evaluation import Evaluation, Interval, Metrics
from ondeck_core.field_drift import field_drift
from ondeck_core.manifest import PRODUCTION, Manifest, Window
from ondeck_core.statcast.leagues import MAJOR
from ondeck_trainer.artifact.published_model import PublishedModel
from ondeck_trainer.data.dataset import Dataset, build_dataset
from ondeck_trainer.data.source import SourceRows
from ondeck_trainer.evaluation.bootstrap import GameBootstrap, interval
from ondeck_trainer.evaluation.evaluate import EvaluationContext, compute_metrics, evaluate
from ondeck_trainer.model.ensemble import Probabilities


class NoUnseenDaysError(OndeckError):
    """All rows are of days that a version was fitted or calibrated on, so their metrics would be too good."""


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """The first version minus the second on the same rows, with 95 % intervals; below zero, the first is better."""

    rows: int
    games: int
    evaluation_window: Window
    log_loss: float
    log_loss_interval: Interval
    ece: float
    ece_interval: Interval
    first: Evaluation
    second: Evaluation


def exclude_training_days(source: SourceRows, *versions: Manifest, include_fitted: bool = False) -> SourceRows:
    """Return the rows of days that no version was fitted or calibrated on; all rows with `include_fitted`.

    Versions are fitted on the major leagues, so that all rows of other leagues are returned.

    Raises:
        NoUnseenDaysError: no row is left.
    """
    seen = pl.any_horizontal(pl.col("game_date").is_between(*training_days(each)) for each in versions)
    rows = source.rows
    kept = rows if include_fitted or source.league != MAJOR else rows.filter(~seen)
    if kept.is_empty():
        learned = " and ".join(f"version {each.version} ({_describe(each)})" for each in versions)
        raise NoUnseenDaysError(
            f"all {rows.height:,} rows are of days that {learned} was fitted or calibrated on; give other days, "
            "or evaluate these days nevertheless with --include-fitted"
        )
    return source.keep(kept, "of days that the version was fitted or calibrated on")


def evaluate_version(
    model: PublishedModel, source: SourceRows, *, production: PublishedModel | None = None
) -> Evaluation:
    """Evaluate a version on Statcast rows, with the version in production as a baseline if that is another one."""
    dataset = build_dataset(model.task, source.rows, source.account)
    baselines = {}
    if production is not None:
        baselines[PRODUCTION] = compute_metrics(production.graph.probabilities(dataset.features), dataset)
    evaluation = evaluate_graph(model, dataset, model.graph.probabilities(dataset.features), baselines)
    if source.league == MAJOR:
        return evaluation
    return evaluation.model_copy(update={"league": source.league, "has_training_days": False})


def evaluate_graph(
    model: PublishedModel, rows: Dataset, probabilities: Probabilities, baselines: Mapping[str, Metrics]
) -> Evaluation:
    """Evaluate probabilities that the graph of a version returned for some rows."""
    manifest = model.manifest
    context = EvaluationContext(
        fit_window=manifest.training.fit_window,
        calibration_window=manifest.training.calibration_window,
        outcome_shares=manifest.training.outcome_shares,
        prediction_sets=manifest.prediction_sets,
        is_serving_fit=True,
        version=manifest.version,
        baselines=baselines,
        drift=field_drift(model.profile, model.task.instance, rows.instances),
        has_training_days=bool(rows.rows["game_date"].is_between(*training_days(manifest)).any()),
    )
    return evaluate(probabilities, rows, context)


def compare(first: PublishedModel, second: PublishedModel, source: SourceRows) -> VersionComparison:
    """Evaluate two versions on the same rows and their difference, with intervals that resample games."""
    dataset = build_dataset(first.task, source.rows, source.account)
    games = GameBootstrap(dataset.rows["game_pk"].to_numpy().astype(np.int64))
    ours, theirs = (each.graph.probabilities(dataset.features) for each in (first, second))
    difference = scoring.losses(ours, dataset.labels) - scoring.losses(theirs, dataset.labels)
    ece = [games.calibration_draws(each, dataset.labels) for each in (ours, theirs)]
    one, other = evaluate_graph(first, dataset, ours, {}), evaluate_graph(second, dataset, theirs, {})
    return VersionComparison(
        rows=len(dataset),
        games=games.count,
        evaluation_window=one.evaluation_window,
        log_loss=float(difference.mean()),
        log_loss_interval=games.mean_interval(difference),
        ece=(one.ece or 0.0) - (other.ece or 0.0),
        ece_interval=interval(ece[0] - ece[1]),
        first=one,
        second=other,
    )


def training_days(manifest: Manifest) -> tuple[date, date]:
    """Return the first and the last day that a version was fitted or calibrated on."""
    training = manifest.training
    return training.fit_window.first_day, max(training.fit_window.last_day, training.calibration_window.last_day)


def _describe(manifest: Manifest) -> str:
    first, last = training_days(manifest)
    return f"{first} to {last}"
