"""A soft vote of fitted members and the calibration behind it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning

from ondeck_core.instances import Matrix
from ondeck_trainer.dataset import Dataset, Labels
from ondeck_trainer.members import Recipe, unfitted_members

Probabilities = NDArray[np.float64]

LEAST_PROBABILITY: Final = 1e-7
LEAST_WEIGHT: Final = 0.02
_PULL: Final = 1e-3  # of the calibration toward the identity


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Vector scaling: softmax(scale * log p + bias), both of shape (outcomes,)."""

    scale: NDArray[np.float64]
    bias: NDArray[np.float64]

    def apply(self, probabilities: Probabilities) -> Probabilities:
        """Calibrate probabilities of shape (n, outcomes)."""
        logs = np.log(np.clip(probabilities, LEAST_PROBABILITY, 1.0))
        calibrated: Probabilities = softmax(self.scale * logs + self.bias, axis=1)
        return calibrated


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Fitted members with the weight of each (they sum to one), and the calibration of their vote."""

    members: Mapping[str, Any]
    weights: Mapping[str, float]
    calibration: Calibration

    def predict(self, features: Matrix) -> Probabilities:
        """Give calibrated probabilities of shape (n, outcomes) for features of shape (n, features)."""
        vote = sum(self.weights[name] * member.predict_proba(features) for name, member in self.members.items())
        return self.calibration.apply(np.asarray(vote, dtype=np.float64))


def fit_ensemble(fit: Dataset, calibrate: Dataset, *, recipe: Recipe, seed: int) -> Ensemble:
    """Fit the members on some days, their weights and the calibration on later ones; a useless member is dropped."""
    members = unfitted_members(recipe, seed)
    for member in members.values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is part of the recipe
            member.fit(fit.features, fit.labels)
    votes = {name: member.predict_proba(calibrate.features) for name, member in members.items()}
    weights = fit_weights(votes, calibrate.labels)
    vote = sum(weight * votes[name] for name, weight in weights.items())
    return Ensemble(
        members={name: members[name] for name in weights},
        weights=weights,
        calibration=fit_calibration(np.asarray(vote), calibrate.labels),
    )


def fit_weights(votes: Mapping[str, Probabilities], labels: Labels) -> dict[str, float]:
    """Find the weights with the least log loss; those below 0.02 are dropped and the rest scaled to sum to one."""
    chosen = np.stack([vote[np.arange(len(labels)), labels] for vote in votes.values()])

    def log_loss(free: NDArray[np.float64]) -> float:
        return float(-np.log(np.clip(softmax(free) @ chosen, LEAST_PROBABILITY, 1.0)).mean())

    found = softmax(minimize(log_loss, np.zeros(len(votes)), method="Nelder-Mead", options={"maxiter": 600}).x)
    kept = {name: float(weight) for name, weight in zip(votes, found, strict=True) if weight >= LEAST_WEIGHT}
    total = sum(kept.values())
    return {name: weight / total for name, weight in kept.items()}


def fit_calibration(probabilities: Probabilities, labels: Labels) -> Calibration:
    """Find the vector scaling with the least log loss, lightly pulled toward changing nothing."""
    count = probabilities.shape[1]
    logs = np.log(np.clip(probabilities, LEAST_PROBABILITY, 1.0))
    happened = np.eye(count)[labels]
    identity = np.concatenate([np.ones(count), np.zeros(count)])

    def loss(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        given = softmax(free[:count] * logs + free[count:], axis=1)
        off = given - happened
        away = free - identity
        value = -np.log(np.clip(given[happened == 1], LEAST_PROBABILITY, 1.0)).mean() + _PULL * (away @ away)
        slope = np.concatenate([(off * logs).mean(axis=0), off.mean(axis=0)]) + 2 * _PULL * away
        return float(value), slope

    found = minimize(loss, identity, jac=True, method="L-BFGS-B").x
    return Calibration(scale=found[:count], bias=found[count:])
