import numpy as np
import pytest

from ondeck_core.instances import BATTED_BALL, PITCH, InstanceType
from ondeck_trainer.ensemble import Calibration, Probabilities, fit_calibration, fit_weights
from ondeck_trainer.gaps import blank
from ondeck_trainer.golden import make_up_instances
from ondeck_trainer.metrics import log_loss

DRAW = np.random.default_rng(9)
TRUTH = DRAW.dirichlet([3, 2, 1], 20_000)
LABELS = (DRAW.random((len(TRUTH), 1)) > TRUTH.cumsum(axis=1)).sum(axis=1)


def noisy(spread: float) -> Probabilities:
    off: Probabilities = np.exp(np.log(TRUTH + 1e-9) + DRAW.normal(0, spread, TRUTH.shape))
    off /= off.sum(axis=1, keepdims=True)
    return off


def test_a_vote_is_better_than_its_best_member() -> None:
    votes = {"one": noisy(0.7), "two": noisy(0.7), "three": noisy(1.0)}
    weights = fit_weights(votes, LABELS)
    vote = np.sum([weight * votes[name] for name, weight in weights.items()], axis=0)
    assert sum(weights.values()) == pytest.approx(1)
    assert log_loss(vote, LABELS) < min(log_loss(each, LABELS) for each in votes.values())


def test_a_member_that_knows_nothing_is_dropped() -> None:
    weights = fit_weights({"truth": TRUTH, "noise": DRAW.dirichlet([1, 1, 1], len(TRUTH))}, LABELS)
    assert weights == {"truth": 1.0}


def test_calibration_leaves_honest_probabilities_almost_as_they_are() -> None:
    calibration = fit_calibration(TRUTH, LABELS)
    assert np.abs(calibration.apply(TRUTH) - TRUTH).mean() < 0.01


def test_calibration_takes_boasts_back() -> None:
    boast = TRUTH**2 / (TRUTH**2).sum(axis=1, keepdims=True)
    calibrated = fit_calibration(boast, LABELS).apply(boast)
    assert log_loss(calibrated, LABELS) < log_loss(boast, LABELS) - 0.02
    assert np.abs(calibrated - TRUTH).mean() < 0.01


def test_calibration_holds_a_nought_above_nought() -> None:
    given = Calibration(scale=np.ones(2), bias=np.zeros(2)).apply(np.array([[0.0, 1.0]]))
    assert given[0, 0] == pytest.approx(1e-7, rel=1e-3)


@pytest.mark.parametrize("instance", [BATTED_BALL, PITCH], ids=lambda each: each.message)
def test_gaps_never_touch_what_is_required_and_keep_hit_coordinates_together(instance: InstanceType) -> None:
    rows = make_up_instances(instance, 1000, seed=1)
    blanked = blank(instance, rows, np.full(1000, 0.5), seed=2)
    for index, field in enumerate(instance.fields):
        if field.required:
            assert not np.isnan(blanked[:, index]).any()
    kept = ~np.isnan(blanked)
    np.testing.assert_array_equal(blanked[kept], rows[kept])
    assert np.isnan(blanked).sum() > np.isnan(rows).sum()
    if instance is BATTED_BALL:
        x, y = blanked[:, instance.index("hc_x")], blanked[:, instance.index("hc_y")]
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
