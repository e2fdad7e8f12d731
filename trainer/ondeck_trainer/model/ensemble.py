"""Fitted members, pooled by weights on the logarithms of their probabilities, and the calibration behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from ondeck_core.instances import Matrix
from ondeck_trainer.data.dataset import Dataset, Labels
from ondeck_trainer.model.learners import FittedLearner, Logs, Recipe
from ondeck_trainer.model.parallel import ParallelFit
from ondeck_trainer.model.preprocessing import fit_preparation

Probabilities = NDArray[np.float64]

LEAST_LOG: Final = float(np.log(1e-7))
LEAST_WEIGHT: Final = 0.03
_PULL: Final = 1e-3  # of the calibration toward the identity


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Vector scaling: softmax(scale * pooled + bias), both of shape (outcomes,)."""

    scale: NDArray[np.float64]
    bias: NDArray[np.float64]

    def apply(self, pooled: Logs) -> Probabilities:
        """Calibrate pooled logarithms of shape (n, outcomes)."""
        calibrated: Probabilities = softmax(self.scale * pooled + self.bias, axis=1)
        return calibrated


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Fitted members with the weight of each, and the calibration of their pool."""

    members: Mapping[str, FittedLearner]
    weights: Mapping[str, float]
    calibration: Calibration

    def logs(self, features: Matrix) -> Logs:
        """Give what each member says, of shape (n, members, outcomes), for features of shape (n, features)."""
        said = [member.logs(features) for member in self.members.values()]
        return np.maximum(np.stack(said, axis=1), LEAST_LOG)

    def predict(self, features: Matrix) -> Probabilities:
        """Give calibrated probabilities of shape (n, outcomes) for features of shape (n, features)."""
        return self.calibration.apply(pool(self.logs(features), np.array([*self.weights.values()])))


def pool(logs: Logs, weights: NDArray[np.float64]) -> Logs:
    """Weigh logarithms of shape (n, members, outcomes) together, to (n, outcomes)."""
    pooled: Logs = np.einsum("nmk,m->nk", logs, weights)
    return pooled


def fit_members(
    fit: Dataset, recipe: Recipe, workers: ParallelFit, say: Callable[[str], None]
) -> dict[str, FittedLearner]:
    """Fit every member of a recipe on some days."""
    preparation = fit_preparation(fit.features)
    fitted = workers.run(
        [(member.fit, (fit.features, preparation, fit.labels)) for member in recipe.values()],
        names=[*recipe],
        say=say,
    )
    return dict(zip(recipe, fitted, strict=True))


def combine(members: Mapping[str, FittedLearner], calibrate: Dataset) -> Ensemble:
    """Fit weights and calibration on days later than those of the members; a useless member is dropped."""
    said = {name: np.maximum(member.logs(calibrate.features), LEAST_LOG) for name, member in members.items()}
    weights = fit_weights(said, calibrate.labels)
    pooled = pool(np.stack([said[name] for name in weights], axis=1), np.array([*weights.values()]))
    return Ensemble(
        members={name: members[name] for name in weights},
        weights=weights,
        calibration=fit_calibration(pooled, calibrate.labels),
    )


def fit_weights(said: Mapping[str, Logs], labels: Labels) -> dict[str, float]:
    """Find the weights, none below nought, with the least log loss; who weighs less than 0.03 is dropped."""
    logs = np.stack([*said.values()], axis=1)
    found = _least_loss(logs, labels)
    kept = [name for name, weight in zip(said, found, strict=True) if weight >= LEAST_WEIGHT]
    if len(kept) < len(said):
        return fit_weights({name: said[name] for name in kept}, labels)
    return dict(zip(said, map(float, found), strict=True))


def _least_loss(logs: Logs, labels: Labels) -> NDArray[np.float64]:
    rows, count = np.arange(len(labels)), logs.shape[1]
    chosen = logs[rows, :, labels]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        given = softmax(pool(logs, weights), axis=1)
        value = -np.log(np.maximum(given[rows, labels], np.exp(LEAST_LOG))).mean()
        slope = (np.einsum("nmk,nk->nm", logs, given) - chosen).mean(axis=0)
        return float(value), slope

    found: NDArray[np.float64] = minimize(
        loss, np.full(count, 1 / count), jac=True, method="L-BFGS-B", bounds=[(0, None)] * count
    ).x
    return found


def fit_calibration(pooled: Logs, labels: Labels) -> Calibration:
    """Find the vector scaling with the least log loss, lightly pulled toward changing nothing."""
    count, rows = pooled.shape[1], np.arange(len(labels))
    happened = np.eye(count)[labels]
    identity = np.concatenate([np.ones(count), np.zeros(count)])

    def loss(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        given = softmax(free[:count] * pooled + free[count:], axis=1)
        off, away = given - happened, free - identity
        value = -np.log(np.maximum(given[rows, labels], np.exp(LEAST_LOG))).mean() + _PULL * (away @ away)
        slope = np.concatenate([(off * pooled).mean(axis=0), off.mean(axis=0)]) + 2 * _PULL * away
        return float(value), slope

    found = minimize(loss, identity, jac=True, method="L-BFGS-B").x
    return Calibration(scale=found[:count], bias=found[count:])
