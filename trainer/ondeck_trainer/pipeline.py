"""A training run: split by time, evaluate the recipe on the last month, pass the gate, refit on newer days, publish."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from ondeck_core.errors import ArtifactRefusedError, OndeckError
from ondeck_core.evaluation import Evaluation, version_baseline
from ondeck_core.manifest import PRODUCTION, PredictionSets, Training, Window
from ondeck_core.promotion_gate import needs_baseline
from ondeck_registry import promotion
from ondeck_registry.alias_log import login_name
from ondeck_registry.aliases import AliasDecision
from ondeck_trainer.artifact.onnx_export import export
from ondeck_trainer.artifact.parity import MIN_ROWS
from ondeck_trainer.artifact.publish import PublishableModel, PublishedVersion, publish_ensemble
from ondeck_trainer.artifact.published_model import ModelGraph, open_version
from ondeck_trainer.data.dataset import Dataset, copy_with_missing_values
from ondeck_trainer.evaluation.evaluate import EvaluationContext, compute_metrics, evaluate, measure_ablation
from ondeck_trainer.model.ensemble import Ensemble, ParallelFit, fit_ensemble, fit_members, fit_prediction_sets
from ondeck_trainer.model.learners import Recipe
from ondeck_trainer.model.recipes import RECIPES

Report = Callable[[str], None]

FULL_MONTH_DAYS: Final = 15  # days with games
CALIBRATION_DAYS: Final = 16  # days with games: enough rows for weights and calibration, the rest fits the members
_DAY: Final = timedelta(days=1)


class PromotionGateError(OndeckError):
    """The recipe is not better than the version in production; nothing is published."""


class TooFewDaysError(OndeckError):
    """The days with games are too few to fit, calibrate and evaluate."""


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """The windows of both fits of a training run: the evaluated fit, and the serving fit on the newest days."""

    fit: Window
    calibrate: Window
    evaluate: Window
    serving_fit: Window
    serving_calibrate: Window


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Parameters of a training run.

    `recipe` None: the recipe of the task. `force` overrides the promotion gate, but not the parity check.
    """

    models: Path
    seed: int
    recipe: Recipe | None = None
    eval_from: date | None = None
    parity_rows: int = MIN_ROWS
    force: bool = False
    workers: ParallelFit = field(default_factory=ParallelFit)


@dataclass(frozen=True, kw_only=True)
class TrainedEnsemble:
    """A fitted and calibrated ensemble with its training metadata and prediction sets."""

    ensemble: Ensemble
    training: Training
    prediction_sets: tuple[PredictionSets, ...]


def train(dataset: Dataset, plan: TrainingPlan, report: Report) -> PublishedVersion:
    """Train and publish a version, then point `production` to it.

    Raises:
        TooFewDaysError: there are too few days to split.
        PromotionGateError: the recipe does not pass the gate and `force` is not set; nothing is published.
        ParityError: too few rows, or the graph differs from the ensemble; nothing is published.
    """
    days = split(dataset.rows["game_date"].unique().to_list(), plan.eval_from)
    report(f"evaluated fit: fit {days.fit}; calibrate {days.calibrate}; evaluate {days.evaluate}")
    evaluation = evaluate_recipe(dataset, fit_recipe(dataset, days.fit, days.calibrate, plan, report), days)
    evaluation = add_production_baseline(evaluation, dataset.between(days.evaluate), plan.models)
    _pass_gate(evaluation, plan, dataset.task.name, report)
    report(f"serving fit: fit {days.serving_fit}; calibrate {days.serving_calibrate}")
    serving = fit_recipe(dataset, days.serving_fit, days.serving_calibrate, plan, report)
    report("exporting the graph and checking its parity with scikit-learn")
    published = publish_ensemble(
        PublishableModel(
            ensemble=serving.ensemble,
            training=serving.training,
            prediction_sets=serving.prediction_sets,
            evaluation=evaluation,
        ),
        rows=dataset,
        models=plan.models,
        parity_rows=plan.parity_rows,
    )
    decision = AliasDecision(actor=login_name(), reason="trained", at=datetime.now(UTC), forced=plan.force)
    promotion.promote(plan.models, dataset.task.name, PRODUCTION, published.manifest.version, decision)
    return published


def split(days: Sequence[date], eval_from: date | None = None) -> TimeSplit:
    """Split days with games: evaluate one month, by default the last full one, and calibrate on the 16 days before.

    Raises:
        TooFewDaysError: there is no full month, or too few days before it.
    """
    ordered = sorted(set(days))
    begin = eval_from or _last_full_month(ordered)
    evaluated = [day for day in ordered if begin <= day < _next_month(begin)]
    earlier = [day for day in ordered if day < begin]
    if not evaluated or not earlier:
        raise TooFewDaysError(f"no days with games from {begin} on to evaluate, or none before; {_describe(ordered)}")
    if len(earlier) <= CALIBRATION_DAYS:
        raise TooFewDaysError(
            f"{len(earlier)} days before {begin} are too few to fit and to calibrate; {_describe(ordered)}"
        )
    return TimeSplit(
        fit=_window(earlier[:-CALIBRATION_DAYS]),
        calibrate=_window(earlier[-CALIBRATION_DAYS:]),
        evaluate=_window(evaluated),
        serving_fit=_window(ordered[:-CALIBRATION_DAYS]),
        serving_calibrate=_window(ordered[-CALIBRATION_DAYS:]),
    )


def _last_full_month(days: Sequence[date]) -> date:
    months = Counter(day.replace(day=1) for day in days)
    full = [month for month, count in months.items() if count >= FULL_MONTH_DAYS]
    if not full:
        raise TooFewDaysError(f"no month has games on {FULL_MONTH_DAYS} days; {_describe(days)}")
    return max(full)


def _next_month(day: date) -> date:
    return (day.replace(day=1) + 31 * _DAY).replace(day=1)


def _window(days: Sequence[date]) -> Window:
    return Window(first_day=days[0], last_day=days[-1])


def _describe(days: Sequence[date]) -> str:
    return f"stored are {len(days)} days" + (f", {days[0]} to {days[-1]}" if days else "")


def fit_recipe(
    dataset: Dataset, fit_days: Window, calibration_days: Window, plan: TrainingPlan, report: Report
) -> TrainedEnsemble:
    """Fit the members on some days; weights, calibration and prediction sets on later days."""
    fit, calibrate = dataset.between(fit_days), dataset.between(calibration_days)
    recipe = plan.recipe or RECIPES[dataset.task.name]
    members = fit_members((fit, copy_with_missing_values(fit, plan.seed)), recipe, plan.workers, report)
    ensemble = fit_ensemble(members, calibrate)
    return TrainedEnsemble(
        ensemble=ensemble,
        training=Training(
            fit_window=fit_days,
            calibration_window=calibration_days,
            rows=len(fit) + len(calibrate),
            outcome_shares=tuple(np.bincount(fit.labels, minlength=len(dataset.task.outcomes)) / len(fit)),
            data_fingerprint=dataset.fingerprint,
            seed=plan.seed,
        ),
        prediction_sets=fit_prediction_sets(ensemble.predict(calibrate.features), calibrate.labels),
    )


def evaluate_recipe(dataset: Dataset, trained: TrainedEnsemble, days: TimeSplit) -> Evaluation:
    """Evaluate a fit through its graph, on days after all that it was fitted and calibrated on."""
    rows, task = dataset.between(days.evaluate), dataset.task
    graph = export(trained.ensemble, len(task.features.features), len(task.outcomes))
    context = EvaluationContext(
        fit_window=days.fit,
        calibration_window=days.calibrate,
        outcome_shares=trained.training.outcome_shares,
        prediction_sets=trained.prediction_sets,
        is_serving_fit=False,
        ablation=measure_ablation(trained.ensemble, dataset.between(days.calibrate), rows),
    )
    return evaluate(ModelGraph(graph.SerializeToString()).probabilities(rows.features), rows, context)


def add_production_baseline(evaluation: Evaluation, rows: Dataset, models: Path) -> Evaluation:
    """Add the metrics of the version in production on the same rows, unless its own evaluation is of these rows."""
    try:
        serving = promotion.production_version(models, rows.task.name)
        if serving is None or serving.evaluation is None or not needs_baseline(evaluation, serving.evaluation):
            return evaluation
        graph = open_version(models, rows.task, serving.version).graph
    except ArtifactRefusedError:  # without a baseline the gate refuses the candidate
        return evaluation
    baseline = compute_metrics(graph.probabilities(rows.features), rows)
    return evaluation.model_copy(
        update={"baselines": {**evaluation.baselines, version_baseline(serving.version): baseline}}
    )


def _pass_gate(candidate: Evaluation, plan: TrainingPlan, model: str, report: Report) -> None:
    verdict = promotion.gate_evaluation(plan.models, model, candidate)
    report(f"gate: {verdict.reason}")
    if not verdict.passed and not plan.force:
        raise PromotionGateError(f"{model} is not published: {verdict.reason} (--force overrides the gate)")
