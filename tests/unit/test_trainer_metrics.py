"""Evaluation metrics compared with scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from ondeck_core.scoring import BINS, brier, calibration_error, log_loss, reliability
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.evaluation.evaluate import area_under_curve
from ondeck_trainer.model.ensemble import Probabilities

DRAW = np.random.default_rng(4)
TWO = DRAW.dirichlet([2, 3], 1000)
FIVE = DRAW.dirichlet([4, 3, 2, 1, 1], 1000)


def draw_labels(probabilities: Probabilities) -> Labels:
    labels: Labels = (DRAW.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return labels


@pytest.mark.parametrize("probabilities", [TWO, FIVE], ids=["two outcomes", "five outcomes"])
def test_log_loss_and_brier_are_those_of_scikit_learn(probabilities: Probabilities) -> None:
    labels = draw_labels(probabilities)
    assert log_loss(probabilities, labels) == pytest.approx(sklearn_log_loss(labels, probabilities))
    assert brier(probabilities, labels) == pytest.approx(brier_score_loss(labels, probabilities))


def test_one_impossible_row_does_not_dominate() -> None:
    sure = np.array([[1.0, 0.0]])
    assert log_loss(sure, np.array([1])) == pytest.approx(-np.log(1e-6))


def test_calibrated_probabilities_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    calibrated = DRAW.dirichlet([1, 1], 100_000)
    labels = draw_labels(calibrated)
    overconfident = calibrated**3 / (calibrated**3).sum(axis=1, keepdims=True)
    assert calibration_error(calibrated, labels) < 0.01
    assert calibration_error(overconfident, labels) > 0.1


def test_the_calibration_error_of_a_constant_is_its_bias() -> None:
    labels = np.repeat([0, 1], [700, 300])
    DRAW.shuffle(labels)
    assert calibration_error(np.tile([0.5, 0.5], (1000, 1)), labels) == pytest.approx(0.2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_reliability_counts_every_row_once(predicted: list[float]) -> None:
    bins = reliability(np.array(predicted), np.zeros(len(predicted), dtype=bool))
    assert sum(each.rows for each in bins) == len(predicted)
    assert len(bins) <= BINS
    assert [each.predicted for each in bins] == sorted(each.predicted for each in bins)


def test_the_reliability_curve_is_empty_for_an_outcome_that_never_occurred() -> None:
    assert area_under_curve(FIVE[:3], np.array([0, 1, 1])) is None
    assert area_under_curve(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])) == 1.0
