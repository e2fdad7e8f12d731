"""The members of an ensemble: boosted trees and neural networks, their hyperparameters and how each is fitted."""

import warnings
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from ondeck_core.instances import Matrix
from ondeck_trainer.data.dataset import Labels

LogProbabilities = NDArray[np.float64]
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]

CLIP: Final = 6.0  # standard deviations; values beyond are tracking errors or position players pitching


@dataclass(frozen=True, kw_only=True)
class Preprocessor:
    """Input scaling of the networks: medians, means and inverse standard deviations, each of shape (features,)."""

    median: NDArray[np.float32]
    mean: NDArray[np.float32]
    factor: NDArray[np.float32]

    def apply(self, features: Matrix) -> Matrix:
        """Fill missing values, scale and clip features of shape (n, features)."""
        filled = np.where(np.isnan(features), self.median, features)
        clipped: Matrix = np.clip((filled - self.mean) * self.factor, -CLIP, CLIP).astype(np.float32)
        return clipped


def fit_preprocessor(features: Matrix) -> Preprocessor:
    """Fit the scaling on features of shape (n, features); a column without any value becomes all zeros."""
    known = ~np.isnan(features).all(axis=0)
    median = np.zeros(features.shape[1], dtype=np.float32)
    median[known] = np.nanmedian(features[:, known], axis=0)
    filled = np.where(np.isnan(features), median, features).astype(np.float64)
    deviation = filled.std(axis=0)
    return Preprocessor(
        median=median,
        mean=filled.mean(axis=0).astype(np.float32),
        factor=np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0).astype(np.float32),
    )


class FittedLearner(Protocol):
    """A fitted member."""

    def log_probabilities(self, features: Matrix) -> LogProbabilities:
        """Return log probabilities of shape (n, outcomes)."""


@dataclass(frozen=True, kw_only=True)
class BoostingSpec:
    """Hyperparameters of boosted trees, which handle missing values natively.

    `feature_fraction`: share of the features tried at each split.
    """

    n_iterations: int
    max_leaves: int
    learning_rate: float
    feature_fraction: float = 0.4
    min_leaf_rows: int = 80
    l2: float = 10.0
    seed: int = 0

    def fit(self, features: Matrix, _: Preprocessor, labels: Labels) -> "FittedTrees":
        """Fit on features of shape (n, features)."""
        model = HistGradientBoostingClassifier(
            max_iter=self.n_iterations,
            max_leaf_nodes=self.max_leaves,
            learning_rate=self.learning_rate,
            max_features=self.feature_fraction,
            min_samples_leaf=self.min_leaf_rows,
            l2_regularization=self.l2,
            early_stopping=False,  # its validation rows would be drawn at random, not by date
            random_state=self.seed,
        )
        empty = np.isnan(features).all(axis=0)  # scikit-learn cannot bin a column without values
        return FittedTrees(model=model.fit(np.where(empty, np.float32(0), features), labels))


@dataclass(frozen=True, kw_only=True)
class FittedTrees:
    """Fitted boosted trees."""

    model: Any

    def log_probabilities(self, features: Matrix) -> LogProbabilities:
        """Return log probabilities of shape (n, outcomes)."""
        return _log_softmax(self.model.decision_function(features))


@dataclass(frozen=True, kw_only=True)
class NeuralSpec:
    """Hyperparameters of a ReLU network.

    `stages`: (learning rate, epochs) in order. `l2`: weight decay. `excluded_features`: positions of unused features.
    """

    hidden: tuple[int, ...]
    stages: tuple[tuple[float, int], ...]
    l2: float
    excluded_features: tuple[int, ...] = ()
    batch: int = 512
    seed: int = 0

    def fit(self, features: Matrix, preprocessor: Preprocessor, labels: Labels) -> "FittedNetwork":
        """Fit on features of shape (n, features)."""
        model = MLPClassifier(
            self.hidden,
            alpha=self.l2,
            batch_size=self.batch,
            tol=0.0,
            n_iter_no_change=sum(epochs for _, epochs in self.stages) + 1,
            random_state=self.seed,
            warm_start=True,
        )
        used = np.delete(preprocessor.apply(features), self.excluded_features, axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is part of the recipe
            for rate, epochs in self.stages:
                model.set_params(learning_rate_init=rate, max_iter=epochs).fit(used, labels)
        layers = _layers(model, features.shape[1], self.excluded_features)
        return FittedNetwork(layers=layers, preprocessor=preprocessor)


@dataclass(frozen=True, kw_only=True)
class FittedNetwork:
    """A fitted network: weights and bias of each layer, and the scaling of its input."""

    layers: tuple[Layer, ...]
    preprocessor: Preprocessor

    def log_probabilities(self, features: Matrix) -> LogProbabilities:
        """Return log probabilities of shape (n, outcomes)."""
        *hidden, (weights, bias) = self.layers
        values = self.preprocessor.apply(features)
        for inner, shift in hidden:
            values = np.maximum(values @ inner + shift, 0)
        return _log_softmax((values @ weights + bias).astype(np.float64))


LearnerSpec = BoostingSpec | NeuralSpec
Recipe = dict[str, LearnerSpec]


def _layers(model: MLPClassifier, features: int, excluded: tuple[int, ...]) -> tuple[Layer, ...]:
    """Return the layers of a model; the first has zero weights for excluded features, so that it takes all features."""
    layers = [
        (weights.astype(np.float32), bias.astype(np.float32))
        for weights, bias in zip(model.coefs_, model.intercepts_, strict=True)
    ]
    used = np.delete(np.arange(features), excluded)
    first = np.zeros((features, layers[0][0].shape[1]), dtype=np.float32)
    first[used] = layers[0][0]
    return ((first, layers[0][1]), *layers[1:])


def _log_softmax(raw: NDArray[np.float64]) -> LogProbabilities:
    """Normalize raw scores; scores of two outcomes come as one column, the logit of the second outcome."""
    wide = raw.reshape(len(raw), -1)
    if wide.shape[1] == 1:
        wide = np.hstack([np.zeros_like(wide), wide])
    logs: LogProbabilities = log_softmax(wide, axis=1)
    return logs
