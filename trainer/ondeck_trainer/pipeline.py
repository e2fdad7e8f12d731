"""A training run: a recipe is judged on days it never saw, passes the gate, and is moved on to the newest days."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from ondeck_core.errors import ArtifactRefusedError, OndeckError
from ondeck_core.evaluation import Evaluation, needs_baseline, version_baseline
from ondeck_core.manifest import PRODUCTION, PredictionSets, Training, Window
from ondeck_registry import promotion
from ondeck_registry.alias_log import login_name
from ondeck_registry.aliases import AliasDecision
from ondeck_trainer.artifact.onnx_export import export
from ondeck_trainer.artifact.parity import LEAST_ROWS
from ondeck_trainer.artifact.publish import PublishableModel, PublishedVersion, publish_ensemble
from ondeck_trainer.artifact.published_model import ModelGraph, open_version
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.data.missingness import with_gaps
from ondeck_trainer.data.time_splits import TimeSplit, split
from ondeck_trainer.evaluation.ablation import ablation
from ondeck_trainer.evaluation.evaluate import EvaluationContext, evaluate, figures_of
from ondeck_trainer.model.conformal import COVERAGES, thresholds
from ondeck_trainer.model.ensemble import Ensemble, Probabilities, combine, fit_members
from ondeck_trainer.model.learners import Recipe
from ondeck_trainer.model.parallel import ParallelFit
from ondeck_trainer.model.recipes import RECIPES

Say = Callable[[str], None]


class PromotionGateError(OndeckError):
    """What was trained is not better than what serves; nothing is published."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How to train: where the models are, what is fitted and judged, how much is held against the graph.

    `recipe` None: that of the task. `force` overrules the gate, never parity.
    """

    models: Path
    seed: int
    recipe: Recipe | None = None
    judge_from: date | None = None
    parity_rows: int = LEAST_ROWS
    force: bool = False
    workers: ParallelFit = field(default_factory=ParallelFit)


@dataclass(frozen=True, kw_only=True)
class TrainedEnsemble:
    """An ensemble, fitted and calibrated, and what it claims of itself."""

    ensemble: Ensemble
    training: Training
    prediction_sets: tuple[PredictionSets, ...]


def train(dataset: Dataset, plan: TrainingPlan, say: Say) -> PublishedVersion:
    """Run the whole walk and move `production` onto the new version.

    Raises:
        TooFewDaysError: the days do not suffice.
        PromotionGateError: not better than what serves, and not forced; nothing is published.
        ParityError: too few rows, or the graph is not the model; nothing is published.
    """
    days = split(dataset.rows["game_date"].to_list(), plan.judge_from)
    say(f"judged fit: fit {days.fit}; calibrate {days.calibrate}; judge {days.judge}")
    evaluation = judge_recipe(dataset, fit_recipe(dataset, days.fit, days.calibrate, plan, say), days)
    evaluation = add_production_baseline(evaluation, dataset.between(days.judge), plan.models)
    _pass_gate(evaluation, plan, dataset.task.name, say)
    say(f"served fit: fit {days.served_fit}; calibrate {days.served_calibrate}")
    served = fit_recipe(dataset, days.served_fit, days.served_calibrate, plan, say)
    say("exporting, and holding the graph against scikit-learn")
    published = publish_ensemble(
        PublishableModel(
            ensemble=served.ensemble,
            training=served.training,
            prediction_sets=served.prediction_sets,
            evaluation=evaluation,
        ),
        rows=dataset,
        models=plan.models,
        parity_rows=plan.parity_rows,
    )
    decision = AliasDecision(actor=login_name(), reason="trained", at=datetime.now(UTC), forced=plan.force)
    promotion.promote(plan.models, dataset.task.name, PRODUCTION, published.manifest.version, decision)
    return published


def fit_recipe(dataset: Dataset, fit_days: Window, later_days: Window, plan: TrainingPlan, say: Say) -> TrainedEnsemble:
    """Fit members on some days; weights, calibration and prediction sets on later ones."""
    fit, later = dataset.between(fit_days), dataset.between(later_days)
    recipe = plan.recipe or RECIPES[dataset.task.name]
    members = fit_members(with_gaps(fit, plan.seed), recipe, plan.workers, say)
    ensemble = combine(members, later)
    return TrainedEnsemble(
        ensemble=ensemble,
        training=Training(
            fit_window=fit_days,
            calibration_window=later_days,
            rows=len(fit) + len(later),
            outcome_shares=tuple(np.bincount(fit.labels, minlength=len(dataset.task.outcomes)) / len(fit)),
            data_fingerprint=dataset.fingerprint,
            seed=plan.seed,
        ),
        prediction_sets=fit_sets(ensemble.predict(later.features), later),
    )


def fit_sets(given: Probabilities, rows: Dataset) -> tuple[PredictionSets, ...]:
    """Fit the thresholds of every coverage on rows that no member was fitted on."""
    return tuple(
        PredictionSets(coverage=coverage, thresholds=thresholds(given, rows.labels, coverage)) for coverage in COVERAGES
    )


def judge_recipe(dataset: Dataset, trained: TrainedEnsemble, days: TimeSplit) -> Evaluation:
    """Judge a fit on days after all that it was fitted and calibrated on, through its graph."""
    rows, task = dataset.between(days.judge), dataset.task
    graph = export(trained.ensemble, len(task.features.features), len(task.outcomes))
    judged = EvaluationContext(
        fit_window=days.fit,
        calibration_window=days.calibrate,
        outcome_shares=trained.training.outcome_shares,
        prediction_sets=trained.prediction_sets,
        is_serving_fit=False,
        ablation=ablation(trained.ensemble, dataset.between(days.calibrate), rows),
    )
    return evaluate(ModelGraph(graph.SerializeToString()).probabilities(rows.features), rows, judged)


def add_production_baseline(evaluation: Evaluation, rows: Dataset, models: Path) -> Evaluation:
    """Add the metrics of the version in production on the same rows, unless its own evaluation is of these rows."""
    try:
        serving = promotion.production_version(models, rows.task.name)
        if serving is None or serving.evaluation is None or not needs_baseline(evaluation, serving.evaluation):
            return evaluation
        graph = open_version(models, rows.task, serving.version).graph
    except ArtifactRefusedError:  # without a baseline the gate refuses the candidate
        return evaluation
    baseline = figures_of(graph.probabilities(rows.features), rows)
    return evaluation.model_copy(
        update={"baselines": {**evaluation.baselines, version_baseline(serving.version): baseline}}
    )


def _pass_gate(candidate: Evaluation, plan: TrainingPlan, model: str, say: Say) -> None:
    verdict = promotion.gate_evaluation(plan.models, model, candidate)
    say(f"gate: {verdict.reason}")
    if not verdict.passed and not plan.force:
        raise PromotionGateError(f"{model} is not published: {verdict.reason} (--force overrides the gate)")
