"""Prediction sets compared with those of MAPIE, and their coverage on unseen rows."""

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from ondeck_core.derived_stats import confidence, ensemble_spread, prediction_sets
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.model.ensemble import COVERAGES, Probabilities, conformal_thresholds

DRAW = np.random.default_rng(12)


def rows(shares: tuple[float, ...], count: int = 20_000) -> tuple[Probabilities, Labels]:
    """Return calibrated probabilities and labels drawn from them."""
    given = DRAW.dirichlet(np.array(shares) * 4, count)
    return given, (DRAW.random((count, 1)) > given.cumsum(axis=1)).sum(axis=1)


class PassThroughClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A classifier whose features are its probabilities, for MAPIE."""

    def __init__(self) -> None:
        self.classes_ = np.arange(3)
        self.fitted_ = True

    def fit(self, *_: object) -> "PassThroughClassifier":
        return self

    def predict_proba(self, features: Probabilities) -> Probabilities:
        return features

    def predict(self, features: Probabilities) -> Labels:
        labels: Labels = features.argmax(axis=1)
        return labels


@pytest.mark.parametrize("coverage", COVERAGES)
def test_prediction_sets_equal_those_of_mapie_without_rare_outcomes(coverage: float) -> None:
    given, labels = rows((0.4, 0.35, 0.25))
    later, _ = rows((0.4, 0.35, 0.25), 5000)
    mapie = SplitConformalClassifier(
        PassThroughClassifier(), confidence_level=coverage, conformity_score="lac", prefit=True
    )
    _, sets = mapie.conformalize(given, labels).predict_set(later)
    own_sets = prediction_sets(later.astype(np.float32), conformal_thresholds(given, labels, coverage))
    assert (own_sets != sets[:, :, 0]).any(axis=1).sum() <= 2  # rows on the threshold may differ


@pytest.mark.parametrize("coverage", COVERAGES)
def test_coverage_holds_for_common_and_rare_outcomes(coverage: float) -> None:
    shares = (0.66, 0.3, 0.04)
    found = conformal_thresholds(*rows(shares), coverage)
    later, labels = rows(shares)
    held = prediction_sets(later.astype(np.float32), found)[np.arange(len(later)), labels]
    assert held.mean() == pytest.approx(coverage, abs=0.01)
    assert held[labels == 2].mean() == pytest.approx(coverage, abs=0.05)


def test_too_few_rows_of_a_rare_outcome_put_it_into_every_set() -> None:
    given, labels = rows((0.5, 0.5), 1000)
    rare = np.column_stack([given * 0.99, np.full(len(given), 0.01)])
    labels[:3] = 2
    assert conformal_thresholds(rare, labels, 0.9)[2] == 0.0


def test_confidence_is_one_for_certainty_and_zero_for_a_guess() -> None:
    given = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.8, 0.1, 0.1]], dtype=np.float32)
    certain, guess, between = confidence(given).tolist()
    assert certain == pytest.approx(1)
    assert guess == pytest.approx(0, abs=1e-6)
    assert between == pytest.approx(1 - (-0.8 * np.log(0.8) - 0.2 * np.log(0.1)) / np.log(3))


def test_the_spread_is_the_range_of_members_on_the_likeliest_outcome() -> None:
    members = np.array([[[0.7, 0.3], [0.4, 0.6]], [[0.2, 0.8], [0.2, 0.8]]], dtype=np.float32)
    assert ensemble_spread(members, members.mean(axis=1)) == pytest.approx([0.3, 0.0], abs=1e-6)
