"""Pooling, weights and calibration of an ensemble."""

import numpy as np
import pytest
from scipy.special import softmax

from ondeck_core.instances import BATTED_BALL, PITCH, InstanceType
from ondeck_core.scoring import log_loss
from ondeck_trainer.artifact.parity import draw_instances
from ondeck_trainer.data.dataset import mask_optional_fields
from ondeck_trainer.model.ensemble import Probabilities, fit_calibration, fit_weights, pool

DRAW = np.random.default_rng(9)
TRUTH = DRAW.dirichlet([3, 2, 1], 20_000)
LABELS = (DRAW.random((len(TRUTH), 1)) > TRUTH.cumsum(axis=1)).sum(axis=1)


def noisy_probabilities(spread: float) -> Probabilities:
    off: Probabilities = np.exp(np.log(TRUTH + 1e-9) + DRAW.normal(0, spread, TRUTH.shape))
    off /= off.sum(axis=1, keepdims=True)
    return off


def test_a_pool_is_better_than_its_best_member() -> None:
    logs = {
        "one": np.log(noisy_probabilities(0.7)),
        "two": np.log(noisy_probabilities(0.7)),
        "three": np.log(noisy_probabilities(1.0)),
    }
    weights = fit_weights(logs, LABELS)
    pooled = pool(np.stack([logs[name] for name in weights], axis=1), np.array([*weights.values()]))
    together = fit_calibration(pooled, LABELS).apply(pooled)
    assert log_loss(together, LABELS) < min(log_loss(np.exp(each), LABELS) for each in logs.values())


def test_an_uninformative_member_is_dropped() -> None:
    noise = np.log(DRAW.dirichlet([1, 1, 1], len(TRUTH)))
    assert fit_weights({"truth": np.log(TRUTH), "noise": noise}, LABELS) == {"truth": pytest.approx(1, abs=0.05)}


def test_calibration_barely_changes_calibrated_probabilities() -> None:
    calibration = fit_calibration(np.log(TRUTH), LABELS)
    assert np.abs(calibration.apply(np.log(TRUTH)) - TRUTH).mean() < 0.01


def test_calibration_corrects_overconfidence() -> None:
    boast = TRUTH**2 / (TRUTH**2).sum(axis=1, keepdims=True)
    calibrated = fit_calibration(np.log(boast), LABELS).apply(np.log(boast))
    assert log_loss(calibrated, LABELS) < log_loss(boast, LABELS) - 0.02
    assert np.abs(calibrated - TRUTH).mean() < 0.01


def test_the_gradients_of_weights_and_calibration_are_correct() -> None:
    """A fit with wrong gradients stops early, so no nearby point may be better."""
    logs = np.stack([np.log(noisy_probabilities(0.6)), np.log(noisy_probabilities(0.9))], axis=1)
    found = np.array([*fit_weights({"one": logs[:, 0], "two": logs[:, 1]}, LABELS).values()])

    def loss(weights: Probabilities) -> float:
        return log_loss(softmax(pool(logs, weights), axis=1), LABELS)

    for step in ([0.02, 0.0], [-0.02, 0.0], [0.0, 0.02], [0.0, -0.02]):
        assert loss(found) <= loss(found + step) + 1e-9


@pytest.mark.parametrize("instance", [BATTED_BALL, PITCH], ids=lambda each: each.message)
def test_gaps_spare_required_fields_and_keep_hit_coordinates_together(instance: InstanceType) -> None:
    rows = draw_instances(instance, 1000, seed=1)
    blanked = mask_optional_fields(instance, rows, np.full(1000, 0.5), seed=2)
    for index, field in enumerate(instance.fields):
        if field.required:
            assert not np.isnan(blanked[:, index]).any()
    kept = ~np.isnan(blanked)
    np.testing.assert_array_equal(blanked[kept], rows[kept])
    assert np.isnan(blanked).sum() > np.isnan(rows).sum()
    if instance is BATTED_BALL:
        x, y = blanked[:, instance.index("hc_x")], blanked[:, instance.index("hc_y")]
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
