"""A published version, judged on rows through its served graph; and two of them, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ondeck_core import scoring
from ondeck_core.drift import field_drift
from ondeck_core.errors import OndeckError
from ondeck_core.evaluation import Evaluation, Interval, Metrics
from ondeck_core.manifest import Manifest, Window
from ondeck_trainer.artifact.published_model import PublishedModel
from ondeck_trainer.data.dataset import Dataset, dataset_of
from ondeck_trainer.evaluation.bootstrap import GameBootstrap, interval
from ondeck_trainer.evaluation.evaluate import EvaluationContext, evaluate, figures_of
from ondeck_trainer.model.ensemble import Probabilities


class NoUnseenDaysError(OndeckError):
    """All rows are of days that a version was fitted on; to judge it on them would flatter it."""


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """How much better the first of two versions is on the same rows: below nought it is; with 95 % intervals."""

    rows: int
    games: int
    evaluation_window: Window
    log_loss: float
    log_loss_interval: Interval
    ece: float
    ece_interval: Interval
    first: Evaluation
    second: Evaluation


def unseen(rows: pl.DataFrame, *versions: Manifest, fitted_too: bool = False) -> pl.DataFrame:
    """Keep the rows of days that none of some versions was fitted or calibrated on.

    Raises:
        NoUnseenDaysError: there are none, and those that there are were not asked for.
    """
    seen = pl.any_horizontal(pl.col("game_date").is_between(*_learned(each)) for each in versions)
    kept = rows if fitted_too else rows.filter(~seen)
    if kept.is_empty():
        told = " and ".join(f"version {each.version} ({_words(each)})" for each in versions)
        raise NoUnseenDaysError(
            f"all {rows.height:,} rows are of days that {told} was fitted or calibrated on; give it other days, "
            "or judge it on these nonetheless with --include-fitted"
        )
    return kept


def judge(served: PublishedModel, rows: pl.DataFrame, *, beside: PublishedModel | None = None) -> Evaluation:
    """Judge a version on rows of the contract, beside the version that serves if that is another."""
    dataset = dataset_of(served.task, rows)
    others = {} if beside is None else {"production": figures_of(answers(beside, dataset), dataset)}
    return _judged(served, dataset, answers(served, dataset), others)


def _judged(
    served: PublishedModel, dataset: Dataset, given: Probabilities, others: Mapping[str, Metrics]
) -> Evaluation:
    manifest = served.manifest
    return evaluate(
        given,
        dataset,
        EvaluationContext(
            fit_window=manifest.training.fit_window,
            calibration_window=manifest.training.calibration_window,
            outcome_shares=manifest.training.outcome_shares,
            prediction_sets=manifest.prediction_sets,
            is_serving_fit=True,
            version=manifest.version,
            others=others,
            drift=field_drift(served.profile, served.task.instance, dataset.instances),
            has_training_days=bool(dataset.rows["game_date"].is_between(*_learned(manifest)).any()),
        ),
    )


def compare(first: PublishedModel, second: PublishedModel, rows: pl.DataFrame) -> VersionComparison:
    """Judge two versions on the same rows, and their difference game by game."""
    dataset = dataset_of(first.task, rows)
    games = GameBootstrap(dataset.rows["game_pk"].to_numpy().astype(np.int64))
    ours, theirs = answers(first, dataset), answers(second, dataset)
    apart = scoring.losses(ours, dataset.labels) - scoring.losses(theirs, dataset.labels)
    ece = [games.calibration_draws(each, dataset.labels) for each in (ours, theirs)]
    one, other = _judged(first, dataset, ours, {}), _judged(second, dataset, theirs, {})
    return VersionComparison(
        rows=len(dataset),
        games=games.count,
        evaluation_window=one.evaluation_window,
        log_loss=float(apart.mean()),
        log_loss_interval=games.mean_interval(apart),
        ece=(one.ece or 0.0) - (other.ece or 0.0),
        ece_interval=interval(ece[0] - ece[1]),
        first=one,
        second=other,
    )


def answers(served: PublishedModel, dataset: Dataset) -> Probabilities:
    """Have the graph of a version answer every row."""
    return served.graph.probabilities(dataset.features)


def _learned(manifest: Manifest) -> tuple[date, date]:
    training = manifest.training
    return training.fit_window.first_day, max(training.fit_window.last_day, training.calibration_window.last_day)


def _words(manifest: Manifest) -> str:
    first, last = _learned(manifest)
    return f"{first} to {last}"
