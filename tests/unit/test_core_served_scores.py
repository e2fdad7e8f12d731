"""Scores of served predictions of generated days: calibrated ones are silent, wrong ones page, moved inputs inform."""

from typing import Any

import numpy as np
import pytest

from ondeck_core.drift_alarms import EVIDENCE_LEVEL, SEASON_DAYS, accumulate_evidence
from ondeck_core.evaluation import Coverage, Evaluation, Interval
from ondeck_core.field_drift import compute_profile
from ondeck_core.instances import BATTED_BALL, Matrix
from ondeck_core.manifest import FrozenSchema, Manifest, PredictionSets, Training
from ondeck_core.scoring import Labels, Probabilities, calibration_error, log_loss, reliability
from ondeck_core.served_scores import PAGING, ScoredRows, ServedScore, TrainingRecord, calibration_slope, score_day
from ondeck_core.tasks import TASKS

TASK = TASKS["batted_ball"]
GAMES = np.repeat(np.arange(12), 50)
SLOPES = np.array([[0, 0, 0, 0, 0], [-1.2, 0.2, 0.4, 0.1, 1.5]])


def draw_instances(draw: np.random.Generator, rows: int, speed: float = 88) -> Matrix:
    columns = {"launch_speed": draw.normal(speed, 12, rows), "launch_angle": draw.normal(12, 20, rows)}
    return BATTED_BALL.matrix(columns | {"outs_when_up": draw.integers(0, 3, rows)}, rows)


def true_probabilities(instances: Matrix, scale: float = 1.0) -> Probabilities:
    """Return probabilities that depend on the exit velocity; a scale above 1 is too certain."""
    harder = (instances[:, :1].astype(np.float64) - 88) / 12
    logits = scale * (np.array([1.5, 0.3, -0.8, -3.0, -1.2]) + harder * SLOPES[1])
    odds = np.exp(logits)
    probabilities: Probabilities = odds / odds.sum(axis=1, keepdims=True)
    return probabilities


def draw_labels(draw: np.random.Generator, probabilities: Probabilities) -> Labels:
    labels: Labels = (draw.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 4)
    return labels


def draw_day(draw: np.random.Generator, *, speed: float = 88, scale: float = 1.0) -> ScoredRows:
    instances = draw_instances(draw, len(GAMES), speed)
    labels = draw_labels(draw, true_probabilities(instances))
    predicted = true_probabilities(instances, scale)
    sets = (predicted >= 0.1) @ (2 ** np.arange(5))
    return ScoredRows(
        instances=instances, probabilities=predicted, labels=labels, games=GAMES, prediction_sets=sets.reshape(-1, 1)
    )


def construct(kind: type[FrozenSchema], **values: Any) -> Any:
    """Make a schema of some of its fields: the others do not matter here."""
    return kind.model_construct(**values)


@pytest.fixture(scope="module")
def record() -> TrainingRecord:
    """What a perfectly calibrated version would have been evaluated with, on 20,000 rows."""
    draw = np.random.default_rng(1)
    instances = draw_instances(draw, 20_000)
    predicted = true_probabilities(instances)
    labels = draw_labels(draw, predicted)
    loss, ece = log_loss(predicted, labels), calibration_error(predicted, labels)
    covered = float((predicted >= 0.1)[np.arange(len(labels)), labels].mean())
    coverage = Coverage(nominal=0.9, empirical=covered, mean_size=2, empty=0, by_outcome={})
    evaluation = construct(
        Evaluation,
        log_loss=loss,
        ece=ece,
        brier=0.4,
        intervals={"log_loss": Interval(low=loss - 0.01, high=loss + 0.01), "ece": Interval(low=ece, high=1.3 * ece)},
        prediction_sets=(coverage,),
        reliability={name: reliability(predicted[:, k], labels == k) for k, name in enumerate(TASK.outcomes)},
    )
    shares = tuple((np.bincount(labels, minlength=5) / len(labels)).tolist())
    manifest = construct(
        Manifest,
        training=construct(Training, rows=len(labels), outcome_shares=shares),
        prediction_sets=(PredictionSets(coverage=0.9, thresholds=(0.1,) * 5),),
    )
    profile = compute_profile(BATTED_BALL, instances)
    return TrainingRecord(task=TASK, manifest=manifest, evaluation=evaluation, profile=profile)


def score(record: TrainingRecord, rows: ScoredRows) -> list[ServedScore]:
    return score_day(record, rows, rows.instances[:0])


def is_paged(days: list[list[ServedScore]], metric: str) -> bool:
    p_values = [each.p_value for day in days for each in day if each.metric == metric]
    return max(accumulate_evidence(p_values)) >= EVIDENCE_LEVEL


def alarms(day: list[ServedScore]) -> set[tuple[str, str]]:
    return {(each.metric, each.subject) for each in day if each.test.is_alarm}


def test_a_season_of_calibrated_days_is_silent(record: TrainingRecord) -> None:
    draw = np.random.default_rng(2)
    days = [score(record, draw_day(draw)) for _ in range(SEASON_DAYS)]
    assert [metric for metric in PAGING if is_paged(days, metric)] == []
    assert sum(bool(alarms(day)) for day in days) <= SEASON_DAYS // 100


def test_probabilities_that_are_too_certain_page(record: TrainingRecord) -> None:
    draw = np.random.default_rng(3)
    days = [score(record, draw_day(draw, scale=2.5)) for _ in range(8)]
    assert [metric for metric in PAGING if is_paged(days, metric)] == list(PAGING)


def test_moved_inputs_inform_and_do_not_page(record: TrainingRecord) -> None:
    draw = np.random.default_rng(4)
    days = [score(record, draw_day(draw, speed=95)) for _ in range(3)]
    assert all(("input_drift", "launch_speed") in alarms(day) for day in days)
    assert all(("input_drift", "launch_angle") not in alarms(day) for day in days)
    assert not is_paged(days, "ece")
    (drift,) = [each for each in days[0] if (each.metric, each.subject) == ("input_drift", "launch_speed")]
    assert drift.value > 0.1
    assert not drift.pages


def test_rows_without_a_pitch_show_inputs_alone(record: TrainingRecord) -> None:
    draw = np.random.default_rng(5)
    nothing = draw_day(draw)
    empty = ScoredRows(
        instances=nothing.instances[:0],
        probabilities=nothing.probabilities[:0],
        prediction_sets=nothing.prediction_sets[:0],
        labels=nothing.labels[:0],
        games=nothing.games[:0],
    )
    found = score_day(record, empty, draw_instances(draw, 500, speed=100))
    assert {each.metric for each in found} == {"unkeyed_input_drift"}
    assert {each.subject for each in found} == set(BATTED_BALL.names)
    assert max(found, key=lambda each: each.value).subject == "launch_speed"
    assert not alarms(found)  # a day without games has no test


def test_the_calibration_slope_is_the_factor_by_which_logits_are_too_large() -> None:
    draw = np.random.default_rng(6)
    logits = draw.normal(size=200_000)
    observed = draw.random(len(logits)) < 1 / (1 + np.exp(-logits))
    assert calibration_slope(1 / (1 + np.exp(-2 * logits)), observed) == pytest.approx(0.5, abs=0.01)
    assert calibration_slope(np.full(10, 0.5), observed[:10]) is None
