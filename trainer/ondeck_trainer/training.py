"""A training run: a recipe is judged on days it never saw, passes the gate, and is moved on to the newest days."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from ondeck_core.errors import OndeckError
from ondeck_core.manifest import PRODUCTION, Evaluation, Training
from ondeck_store.artifacts import repository
from ondeck_store.artifacts.moving import Decision, move_alias
from ondeck_store.artifacts.who import login_name
from ondeck_trainer.dataset import Dataset
from ondeck_trainer.ensemble import Ensemble, Probabilities, fit_ensemble
from ondeck_trainer.evaluate import evaluate
from ondeck_trainer.gaps import with_gaps
from ondeck_trainer.gate import Verdict, judge
from ondeck_trainer.members import Recipe
from ondeck_trainer.parity import LEAST_ROWS
from ondeck_trainer.publishing import Fitted, Published, publish_ensemble
from ondeck_trainer.splits import Split, split

Say = Callable[[str], None]


class GateError(OndeckError):
    """What was trained is not better than what serves; nothing is published."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train: where the models are, what is fitted and judged, how much is held against the graph.

    `force` overrules the gate, never parity.
    """

    models: Path
    seed: int
    recipe: Recipe = field(default_factory=Recipe)
    judge_from: date | None = None
    parity_rows: int = LEAST_ROWS
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A fit that never saw the days it was judged on."""

    ensemble: Ensemble
    evaluation: Evaluation


def train(dataset: Dataset, plan: Plan, say: Say) -> Published:
    """Run the whole walk and move `production` onto the new version.

    Raises:
        TooFewDaysError: the days do not suffice.
        GateError: not better than what serves, and not forced; nothing is published.
        ParityError: too few rows, or the graph is not the model; nothing is published.
    """
    days = split(dataset.rows["game_date"].to_list(), plan.judge_from)
    say(f"judged fit: fit {days.fit}; calibrate {days.calibrate}; judge {days.judge}")
    judged = judge_recipe(dataset, days, plan)
    verdict = _pass_gate(judged.evaluation, plan, dataset.task.name, say)
    say(f"served fit: fit {days.served_fit}; calibrate {days.served_calibrate}")
    ensemble = fit_served(dataset, days, plan)
    say("exporting, and holding the graph against scikit-learn")
    training = Training(
        fitted=days.served_fit,
        calibrated=days.served_calibrate,
        rows=len(dataset),
        data_fingerprint=dataset.fingerprint,
        seed=plan.seed,
    )
    published = publish_ensemble(
        Fitted(ensemble=ensemble, training=training, evaluation=judged.evaluation),
        rows=dataset,
        models=plan.models,
        parity_rows=plan.parity_rows,
    )
    move_alias(plan.models, dataset.task.name, PRODUCTION, published.manifest.version, _decision(verdict))
    return published


def judge_recipe(dataset: Dataset, days: Split, plan: Plan) -> Judged:
    """Fit on the earlier days, calibrate on later ones, judge on those after."""
    fit, calibrate = dataset.between(days.fit), dataset.between(days.calibrate)
    ensemble = fit_ensemble(with_gaps(fit, plan.seed), calibrate, recipe=plan.recipe, seed=plan.seed)
    return Judged(ensemble=ensemble, evaluation=evaluate(ensemble, dataset.between(days.judge), _shares(fit), days))


def fit_served(dataset: Dataset, days: Split, plan: Plan) -> Ensemble:
    """Fit the same recipe, moved on to the newest days."""
    fit, calibrate = dataset.between(days.served_fit), dataset.between(days.served_calibrate)
    return fit_ensemble(with_gaps(fit, plan.seed), calibrate, recipe=plan.recipe, seed=plan.seed)


def _pass_gate(candidate: Evaluation, plan: Plan, model: str, say: Say) -> Verdict:
    serving = repository.aliases(plan.models, model).get(PRODUCTION)
    held = None if serving is None else repository.evaluation_of(plan.models, model, serving)
    verdict = judge(candidate, held)
    say(f"gate: {verdict.reason}")
    if not verdict.passed and not plan.force:
        raise GateError(f"{model} is not published: {verdict.reason} (--force overrules)")
    return verdict


def _decision(verdict: Verdict) -> Decision:
    return Decision(who=login_name(), why=f"trained; {verdict.reason}", at=datetime.now(UTC), forced=not verdict.passed)


def _shares(dataset: Dataset) -> Probabilities:
    shares: Probabilities = np.bincount(dataset.labels, minlength=len(dataset.task.outcomes)) / len(dataset)
    return shares
