"""Scores of the predictions that a version served on one day, each beside its value at training. Pure.

Scores of outcomes use the rows whose pitch is known and belongs to the task; inputs are also compared on the rows
without a pitch. Only log loss and calibration page: they say that predictions were wrong. The others inform.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core import scoring
from ondeck_core.drift_alarms import (
    AlarmTest,
    Column,
    Numbers,
    daily_rate,
    p_value_above,
    share_drift,
    share_mean_drift,
)
from ondeck_core.evaluation import Evaluation
from ondeck_core.field_drift import bin_numbers, stability_index
from ondeck_core.instances import InstanceType, Matrix
from ondeck_core.manifest import FieldProfile, Manifest, Profile
from ondeck_core.scoring import Labels, Probabilities
from ondeck_core.tasks import Task

LOG_LOSS: Final = "log_loss"
ECE: Final = "ece"
PAGING: Final = (LOG_LOSS, ECE)
_BINARY: Final = 2
_NEWTON_STEPS: Final = 25
_MAX_LOGIT: Final = 20.0
_STEP_ACCURACY: Final = 1e-10


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """n predictions with their outcomes: `labels` (n,), `games` (n,), probabilities (n, outcomes), as served.

    `prediction_sets` (n, coverages) holds sums of 2 ** (number of an outcome in the set).
    """

    instances: Matrix
    probabilities: Probabilities
    prediction_sets: Numbers
    labels: Labels
    games: Numbers

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def game_count(self) -> int:
        """Number of different games."""
        return len(np.unique(self.games))


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What is known of a version at its training: the manifest, the evaluation and the distribution of each field."""

    task: Task
    manifest: Manifest
    evaluation: Evaluation
    profile: Profile


@dataclass(frozen=True, kw_only=True)
class ServedScore:
    """One metric of one day: `subject` is the outcome, the field or the coverage that it is about, "" for all rows.

    `p_value` is that of a test of a paging metric, whose evidence accumulates over days (`drift_alarms`). Otherwise
    `test` is the test of the day alone.
    """

    metric: str
    value: float
    rows: int
    games: int
    subject: str = ""
    at_training: float | None = None
    p_value: float | None = None
    test: AlarmTest = field(default_factory=AlarmTest)

    @property
    def pages(self) -> bool:
        """Whether an alarm of this metric is worth waking a person."""
        return self.metric in PAGING


def score_day(training: TrainingRecord, scored: ScoredRows, unkeyed: Matrix) -> list[ServedScore]:
    """Score one day of a version; `unkeyed` are the instances (m, fields) of predictions without a pitch.

    Their games are not known, so that their inputs have no test: taken as independent, they differ on every day.
    """
    found: list[ServedScore] = []
    if len(scored):
        found += _outcome_scores(training, scored)
        found += _rate_scores(training, scored)
        found += _coverage_scores(training, scored)
        found += _input_scores("input_drift", training, scored.instances, scored.games)
    if len(unkeyed):
        found += _input_scores("unkeyed_input_drift", training, unkeyed, None)
    return found


def _outcome_scores(training: TrainingRecord, scored: ScoredRows) -> Iterator[ServedScore]:
    evaluation, probabilities, labels = training.evaluation, scored.probabilities, scored.labels
    score = partial(ServedScore, rows=len(scored), games=scored.game_count)
    yield score(
        metric=LOG_LOSS,
        value=scoring.log_loss(probabilities, labels),
        at_training=evaluation.log_loss,
        p_value=p_value_above(scoring.losses(probabilities, labels), scored.games, _upper_bound(evaluation, LOG_LOSS)),
    )
    yield score(metric="promised_log_loss", value=_promised_log_loss(probabilities))
    yield score(metric="brier", value=scoring.brier(probabilities, labels), at_training=evaluation.brier)
    yield score(
        metric=ECE,
        value=scoring.calibration_error(probabilities, labels),
        at_training=evaluation.ece,
        p_value=_calibration_p_value(training, scored),
    )


def _rate_scores(training: TrainingRecord, scored: ScoredRows) -> Iterator[ServedScore]:
    """Score how often each outcome was observed, and how its probability varies with its frequency."""
    score = partial(ServedScore, rows=len(scored), games=scored.game_count)
    tested = _tested_outcomes(training.task)
    for index in tested:
        outcome, share = training.task.outcomes[index], training.manifest.training.outcome_shares[index]
        is_observed = scored.labels == index
        yield score(
            metric="base_rate",
            subject=outcome,
            value=float(is_observed.mean()),
            at_training=share,
            test=share_mean_drift(is_observed.astype(np.float64), scored.games, share, daily_rate(len(tested))),
        )
        slope = calibration_slope(scored.probabilities[:, index], is_observed)
        if slope is not None:
            yield score(metric="calibration_slope", subject=outcome, value=slope)


def _tested_outcomes(task: Task) -> range:
    """Return the numbers of the outcomes to look at: of two outcomes the second says all."""
    return range(1, _BINARY) if len(task.outcomes) == _BINARY else range(len(task.outcomes))


def _upper_bound(evaluation: Evaluation, metric: str) -> float:
    """Return the upper end of the confidence interval of a metric at training: more is worse than what was promised."""
    interval = evaluation.intervals.get(metric)
    value = getattr(evaluation, metric)
    return interval.high if interval is not None else float(value or 0.0)


def _promised_log_loss(probabilities: Probabilities) -> float:
    """Return the log loss that the probabilities promise if they are right: their mean entropy."""
    clipped = np.clip(probabilities, scoring.MIN_PROBABILITY, 1.0)
    return float(-(probabilities * np.log(clipped)).sum(axis=1).mean())


def _calibration_p_value(training: TrainingRecord, scored: ScoredRows) -> float | None:
    """Return the p-value of a calibration error above that of the evaluation, its confidence interval included.

    With weights from -1 to 1 that depend on the prediction, the mean of weight * (observed - predicted) is at most the
    calibration error. Tested are the weights 1 (all too high or too low) and the sign of prediction - base rate (too
    certain or too uncertain), both ways, of each outcome; Bonferroni over these tests.
    """
    found = []
    for index in _tested_outcomes(training.task):
        predicted = scored.probabilities[:, index]
        difference = (scored.labels == index) - predicted
        variance = float((predicted * (1 - predicted)).sum())
        bound = _calibration_bound(training, index)
        share = training.manifest.training.outcome_shares[index]
        for weights in (np.ones(len(scored)), np.where(predicted > share, 1.0, -1.0)):
            found += [
                p_value_above(sign * weights * difference, scored.games, bound, promised_variance=variance)
                for sign in (1, -1)
            ]
    known = [each for each in found if each is not None]
    return min(1.0, len(known) * min(known)) if known else None


def _calibration_bound(training: TrainingRecord, index: int) -> float:
    """Return the calibration error of an outcome at training, enlarged as the confidence interval of the mean is."""
    evaluation = training.evaluation
    bins = evaluation.reliability.get(training.task.outcomes[index], ())
    value = scoring.mean_gap(bins) if bins else float(evaluation.ece or 0.0)
    return value * max(_upper_bound(evaluation, ECE) / evaluation.ece, 1.0) if evaluation.ece else value


def calibration_slope(predicted: Column, observed: NDArray[np.bool_]) -> float | None:
    """Fit the slope of a logistic regression of the outcome on the logit of its probability; None: no fit.

    1 is calibrated, less is too certain, more is too uncertain.
    """
    clipped = np.clip(predicted, scoring.MIN_PROBABILITY, 1 - scoring.MIN_PROBABILITY)
    design = np.column_stack([np.ones(len(clipped)), np.log(clipped / (1 - clipped))])
    parameters = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(design @ parameters, -_MAX_LOGIT, _MAX_LOGIT)))
        information = (design.T * (expected * (1 - expected))) @ design
        if abs(np.linalg.det(information)) < _STEP_ACCURACY:
            return None
        step = np.linalg.solve(information, design.T @ (observed - expected))
        parameters = parameters + step
        if np.abs(step).max() < _STEP_ACCURACY:
            return float(parameters[1])
    return None


def _coverage_scores(training: TrainingRecord, scored: ScoredRows) -> Iterator[ServedScore]:
    at_training = {each.nominal: each.empirical for each in training.evaluation.prediction_sets}
    sets = training.manifest.prediction_sets
    for position, each in enumerate(sets):
        covered = (scored.prediction_sets[:, position] >> scored.labels & 1).astype(np.float64)
        expected = at_training.get(each.coverage, each.coverage)
        yield ServedScore(
            metric="coverage",
            subject=f"{each.coverage:g}",
            value=float(covered.mean()),
            at_training=expected,
            rows=len(scored),
            games=scored.game_count,
            test=share_mean_drift(covered, scored.games, expected, daily_rate(len(sets))),
        )


def _input_scores(
    metric: str, training: TrainingRecord, instances: Matrix, games: Numbers | None
) -> Iterator[ServedScore]:
    """Compare the distribution of each field with that of the fit rows; the value is the effect size, the PSI."""
    instance: InstanceType = training.task.instance
    rate, rows = daily_rate(len(training.profile.fields)), training.manifest.training.rows
    groups = 0 if games is None else len(np.unique(games))
    for name, profile in training.profile.fields.items():
        column = instances[:, instance.index(name)]
        shares, bins = _shares(profile, column)
        reference = np.array(profile.shares)
        yield ServedScore(
            metric=metric,
            subject=name,
            value=stability_index(reference, shares),
            at_training=0.0,
            rows=len(column),
            games=groups,
            test=AlarmTest() if games is None else share_drift(bins, games, reference, rows, rate),
        )


def _shares(profile: FieldProfile, column: NDArray[np.float32]) -> tuple[Column, Numbers]:
    bins = bin_numbers(np.array(profile.edges), column)
    return np.bincount(bins, minlength=len(profile.shares)) / len(column), bins
