"""The unlike learners of an ensemble: what they are made of, how one is fitted, and what it says."""

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from ondeck_core.instances import Matrix
from ondeck_trainer.data.dataset import Labels
from ondeck_trainer.model.preprocessing import Preprocessor

Logs = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BoostingSpec:
    """Boosted trees, which route gaps themselves. `share` of the features is tried at each split."""

    rounds: int
    leaves: int
    rate: float
    share: float = 0.4
    least_rows: int = 80
    pull: float = 10.0
    seed: int = 0

    def fit(self, features: Matrix, _: Preprocessor, labels: Labels) -> "FittedTrees":
        """Fit on features of shape (n, features)."""
        model = HistGradientBoostingClassifier(
            max_iter=self.rounds,
            max_leaf_nodes=self.leaves,
            learning_rate=self.rate,
            max_features=self.share,
            min_samples_leaf=self.least_rows,
            l2_regularization=self.pull,
            early_stopping=False,  # its own validation rows would be drawn at random, not by date
            random_state=self.seed,
        )
        empty = np.isnan(features).all(axis=0)  # of which scikit-learn can make no bins, nor trees a split
        return FittedTrees(model=model.fit(np.where(empty, np.float32(0), features), labels))


@dataclass(frozen=True, kw_only=True)
class NeuralSpec:
    """A network of rectified layers, its rate lowered in `stages` of (rate, epochs); `pull` is its weight decay.

    `blind_to` are positions of features that it does not see.
    """

    hidden: tuple[int, ...]
    stages: tuple[tuple[float, int], ...]
    pull: float
    blind_to: tuple[int, ...] = ()
    batch: int = 512
    seed: int = 0

    def fit(self, features: Matrix, preparation: Preprocessor, labels: Labels) -> "FittedNetwork":
        """Fit on features of shape (n, features)."""
        model = MLPClassifier(
            self.hidden,
            alpha=self.pull,
            batch_size=self.batch,
            tol=0.0,
            n_iter_no_change=sum(epochs for _, epochs in self.stages) + 1,
            random_state=self.seed,
            warm_start=True,
        )
        seen = np.delete(preparation.apply(features), self.blind_to, axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is part of the recipe
            for rate, epochs in self.stages:
                model.set_params(learning_rate_init=rate, max_iter=epochs).fit(seen, labels)
        return FittedNetwork(layers=_layers(model, features.shape[1], self.blind_to), preparation=preparation)


class FittedLearner(Protocol):
    """A fitted member."""

    def logs(self, features: Matrix) -> Logs:
        """Give logarithms of probabilities of shape (n, outcomes)."""


@dataclass(frozen=True, kw_only=True)
class FittedTrees:
    """Fitted boosted trees."""

    model: Any

    def logs(self, features: Matrix) -> Logs:
        """Give logarithms of probabilities of shape (n, outcomes)."""
        raw = self.model.decision_function(features)
        return _logs(raw)


Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class FittedNetwork:
    """A fitted network: weights and bias of each layer, and the preparation of what it sees."""

    layers: tuple[Layer, ...]
    preparation: Preprocessor

    def logs(self, features: Matrix) -> Logs:
        """Give logarithms of probabilities of shape (n, outcomes)."""
        *hidden, (weights, bias) = self.layers
        values = self.preparation.apply(features)
        for inner, shift in hidden:
            values = np.maximum(values @ inner + shift, 0)
        return _logs((values @ weights + bias).astype(np.float64))


def _layers(model: MLPClassifier, features: int, blind_to: tuple[int, ...]) -> tuple[Layer, ...]:
    """Take the layers of a model; a feature that it does not see weighs nothing in the first."""
    layers = [
        (weights.astype(np.float32), bias.astype(np.float32))
        for weights, bias in zip(model.coefs_, model.intercepts_, strict=True)
    ]
    seen = np.delete(np.arange(features), blind_to)
    first = np.zeros((features, layers[0][0].shape[1]), dtype=np.float32)
    first[seen] = layers[0][0]
    return ((first, layers[0][1]), *layers[1:])


def _logs(raw: NDArray[np.float64]) -> Logs:
    """Two outcomes come as one column: how much the second outweighs the first."""
    wide = raw.reshape(len(raw), -1)
    if wide.shape[1] == 1:
        wide = np.hstack([np.zeros_like(wide), wide])
    logs: Logs = log_softmax(wide, axis=1)
    return logs


Member = BoostingSpec | NeuralSpec
Recipe = dict[str, Member]
