"""The members of an ensemble: boosted trees and neural networks, their hyperparameters and how each is fitted.

Features of five seasons take a gigabyte. Results of their shape are computed in pieces, and none is a float64 copy.
"""

import mmap
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state

from ondeck_core.instances import Matrix
from ondeck_trainer.data.dataset import Labels, row_pieces

LogProbabilities = NDArray[np.float64]
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]

CLIP: Final = 6.0  # standard deviations; values beyond are tracking errors or position players pitching


@dataclass(frozen=True, kw_only=True)
class Preprocessor:
    """Input scaling of the networks: medians, means and inverse standard deviations, each of shape (features,)."""

    median: NDArray[np.float32]
    mean: NDArray[np.float32]
    factor: NDArray[np.float32]

    def apply(self, features: Matrix, excluded: tuple[int, ...] = ()) -> Matrix:
        """Fill missing values, scale and clip features of shape (n, features), without some of the features."""
        used = np.delete(np.arange(features.shape[1]), excluded)
        median, mean, factor = self.median[used], self.mean[used], self.factor[used]
        scaled = np.empty((len(features), len(used)), dtype=np.float32)
        for rows in row_pieces(len(features)):
            piece = features[rows][:, used]
            filled = np.where(np.isnan(piece), median, piece)
            np.clip((filled - mean) * factor, -CLIP, CLIP, out=scaled[rows])
            release_pages(features)
        return scaled


def fit_preprocessor(features: Matrix) -> Preprocessor:
    """Fit the scaling on features of shape (n, features); a column without any value becomes all zeros."""
    median = np.array(
        [0 if empty else np.nanmedian(column) for column, empty in zip(features.T, _is_empty(features), strict=True)],
        dtype=np.float32,
    )

    def filled(rows: slice) -> NDArray[np.float64]:
        return np.where(np.isnan(features[rows]), median, features[rows]).astype(np.float64)

    mean = _column_means(filled, len(features))
    deviation = np.sqrt(_column_means(lambda rows: (filled(rows) - mean) ** 2, len(features)))
    return Preprocessor(
        median=median,
        mean=mean.astype(np.float32),
        factor=np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0).astype(np.float32),
    )


def _column_means(piece: Callable[[slice], NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    """Return the means of columns that are computed in pieces; the sums are those of the whole columns, bit by bit."""
    first, *others = row_pieces(rows)
    total = piece(first).sum(axis=0)
    for each in others:
        total = np.vstack([total, piece(each)]).sum(axis=0)  # the rows are added in order
    means: NDArray[np.float64] = total / rows
    return means


def _is_empty(features: Matrix) -> NDArray[np.bool_]:
    """Return for each column whether it has no value."""
    empty = np.ones(features.shape[1], dtype=np.bool_)
    for rows in row_pieces(len(features)):
        empty &= np.isnan(features[rows]).all(axis=0)
        if not empty.any():
            break
    return empty


def release_pages(features: Matrix) -> None:
    """Give back the memory of a matrix that is mapped from a file; what is read later comes from the file again."""
    mapped: object = features.base
    if isinstance(mapped, mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)


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
        model = _PiecewiseBoosting(
            max_iter=self.n_iterations,
            max_leaf_nodes=self.max_leaves,
            learning_rate=self.learning_rate,
            max_features=self.feature_fraction,
            min_samples_leaf=self.min_leaf_rows,
            l2_regularization=self.l2,
            early_stopping=False,  # its validation rows would be drawn at random, not by date
            random_state=self.seed,
        )
        model.fit(features, labels)
        model.__class__ = HistGradientBoostingClassifier  # it was only fitted in another way
        return FittedTrees(model=model)


class _PiecewiseBoosting(HistGradientBoostingClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """Boosting that bins float32 features in pieces, where scikit-learn first copies all of them to float64.

    The bins are the same. A column without values, which scikit-learn cannot bin, is filled with zeros.
    """

    def _preprocess_X(self, features: Matrix, *, reset: bool) -> Any:  # noqa: ANN401, N802  as the overridden method
        if not reset:
            return super()._preprocess_X(features, reset=False)
        super()._preprocess_X(features[:1], reset=True)
        return features, None

    def _bin_data(self, features: Matrix, *_: object, **__: object) -> NDArray[np.uint8]:
        """Return the bins of shape (n, features), in the order of columns."""
        empty, mapper = _is_empty(features), self._bin_mapper
        sample = features
        if len(features) > mapper.subsample:  # as the mapper draws it
            draw = check_random_state(mapper.random_state)
            sample = features[draw.choice(len(features), mapper.subsample, p=None, replace=True)]
        mapper.fit(np.where(empty, np.float32(0), sample))
        bins = np.empty(features.shape, dtype=np.uint8, order="F")
        for rows in row_pieces(len(features)):
            bins[rows] = mapper.transform(np.where(empty, np.float32(0), features[rows]))
            release_pages(features)
        return bins


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
        used = preprocessor.apply(features, self.excluded_features)
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
