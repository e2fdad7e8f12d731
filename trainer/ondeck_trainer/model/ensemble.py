"""The ensemble: members fitted in parallel, pooled in log space, calibrated, with conformal prediction sets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import PredictionSets
from ondeck_trainer.data.dataset import Dataset, Labels, row_pieces
from ondeck_trainer.model.learners import FittedLearner, LogProbabilities, Recipe, fit_preprocessor, release_pages

Probabilities = NDArray[np.float64]
Work = tuple[Callable[..., Any], tuple[Any, ...]]

MIN_LOG: Final = float(np.log(1e-7))
MIN_WEIGHT: Final = 0.03
COVERAGES: Final = (0.8, 0.9)
RARE: Final = 0.06  # share of rows below which an outcome has its own conformal threshold
_L2: Final = 1e-3  # of the calibration, toward the identity


class ClusterUnreachableError(OndeckError):
    """The Dask cluster cannot be used."""


@dataclass(frozen=True, kw_only=True)
class ParallelFit:
    """Where members are fitted: in `jobs` processes with one thread each, or on the Dask cluster at address `dask`."""

    jobs: int = 1
    dask: str | None = None

    def run(self, work: Sequence[Work], names: Sequence[str], report: Callable[[str], None]) -> list[Any]:
        """Run all the work in parallel and report each piece when it is done; results are in the order of the work."""
        results = []
        with self._backend():
            done = Parallel(return_as="generator")(delayed(function)(*args) for function, args in work)
            for result, name in zip(done, names, strict=True):
                report(f"fitted {name}")
                results.append(result)
        return results

    @contextmanager
    def allocate(self, shape: tuple[int, int]) -> Iterator[Matrix]:
        """Allocate a matrix for the arguments of work: local processes map one file instead of a copy for each."""
        if self.dask is not None or self.jobs == 1:
            yield np.empty(shape, dtype=np.float32)
            return
        with TemporaryDirectory(prefix="ondeck-training-") as folder:
            yield np.memmap(Path(folder) / "matrix", dtype=np.float32, mode="w+", shape=shape)

    @contextmanager
    def _backend(self) -> Iterator[None]:
        if self.dask is not None:
            with _connect(self.dask), parallel_config(backend="dask"):
                yield
        elif self.jobs > 1:
            with parallel_config(backend="loky", n_jobs=self.jobs, inner_max_num_threads=1):
                yield
        else:
            with parallel_config(backend="sequential"):
                yield


@contextmanager
def _connect(address: str) -> Iterator[None]:
    try:
        from distributed import Client  # noqa: PLC0415  an optional extra
    except ImportError:
        raise ClusterUnreachableError("a Dask cluster needs the extra: pip install 'ondeck-trainer[dask]'") from None
    try:
        client = Client(address, timeout="10s")  # type: ignore[no-untyped-call]  # it ships no types
    except OSError as error:
        raise ClusterUnreachableError(f"no Dask scheduler answers at {address} ({error})") from error
    with client:
        yield


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Vector scaling: softmax(scale * pooled + bias), scale and bias of shape (outcomes,)."""

    scale: NDArray[np.float64]
    bias: NDArray[np.float64]

    def apply(self, pooled: LogProbabilities) -> Probabilities:
        """Calibrate pooled log probabilities of shape (n, outcomes)."""
        calibrated: Probabilities = softmax(self.scale * pooled + self.bias, axis=1)
        return calibrated


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Fitted members with their weights, and the calibration of the pooled prediction."""

    members: Mapping[str, FittedLearner]
    weights: Mapping[str, float]
    calibration: Calibration

    def predict(self, features: Matrix) -> Probabilities:
        """Return calibrated probabilities of shape (n, outcomes) for features of shape (n, features)."""
        logs = np.stack([_clipped(member, features) for member in self.members.values()], axis=1)
        return self.calibration.apply(pool(logs, np.array([*self.weights.values()])))


def pool(logs: LogProbabilities, weights: NDArray[np.float64]) -> LogProbabilities:
    """Return the weighted sum over members of log probabilities (n, members, outcomes), of shape (n, outcomes)."""
    pooled: LogProbabilities = np.einsum("nmk,m->nk", logs, weights)
    return pooled


def fit_members(
    parts: Sequence[Dataset], recipe: Recipe, workers: ParallelFit, report: Callable[[str], None]
) -> dict[str, FittedLearner]:
    """Fit every member of a recipe on the same rows, those of all parts in order."""
    labels = np.concatenate([part.labels for part in parts])
    with workers.allocate((len(labels), len(parts[0].task.features.names))) as features:
        _write_features(parts, features)
        preprocessor = fit_preprocessor(features)
        release_pages(features)
        fitted = workers.run(
            [(spec.fit, (features, preprocessor, labels)) for spec in recipe.values()], names=[*recipe], report=report
        )
    return dict(zip(recipe, fitted, strict=True))


def _write_features(parts: Sequence[Dataset], features: Matrix) -> None:
    start = 0
    for part in parts:
        for rows in row_pieces(len(part)):
            features[start + rows.start : start + rows.stop] = part.task.features.compute(part.instances[rows])
        start += len(part)


def fit_ensemble(members: Mapping[str, FittedLearner], calibrate: Dataset) -> Ensemble:
    """Fit weights and calibration on days after those of the members; members of small weight are dropped."""
    logs = {name: _clipped(member, calibrate.features) for name, member in members.items()}
    weights = fit_weights(logs, calibrate.labels)
    pooled = pool(np.stack([logs[name] for name in weights], axis=1), np.array([*weights.values()]))
    return Ensemble(
        members={name: members[name] for name in weights},
        weights=weights,
        calibration=fit_calibration(pooled, calibrate.labels),
    )


def _clipped(member: FittedLearner, features: Matrix) -> LogProbabilities:
    return np.maximum(member.log_probabilities(features), MIN_LOG)


def fit_weights(logs: Mapping[str, LogProbabilities], labels: Labels) -> dict[str, float]:
    """Find the nonnegative weights with the lowest log loss, without members of a weight below 0.03."""
    found = _minimize_loss(np.stack([*logs.values()], axis=1), labels)
    kept = [name for name, weight in zip(logs, found, strict=True) if weight >= MIN_WEIGHT]
    if len(kept) < len(logs):
        return fit_weights({name: logs[name] for name in kept}, labels)
    return dict(zip(logs, map(float, found), strict=True))


def _minimize_loss(logs: LogProbabilities, labels: Labels) -> NDArray[np.float64]:
    rows, count = np.arange(len(labels)), logs.shape[1]
    observed = logs[rows, :, labels]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        predicted = softmax(pool(logs, weights), axis=1)
        value = -np.log(np.maximum(predicted[rows, labels], np.exp(MIN_LOG))).mean()
        gradient = (np.einsum("nmk,nk->nm", logs, predicted) - observed).mean(axis=0)
        return float(value), gradient

    found: NDArray[np.float64] = minimize(
        loss, np.full(count, 1 / count), jac=True, method="L-BFGS-B", bounds=[(0, None)] * count
    ).x
    return found


def fit_calibration(pooled: LogProbabilities, labels: Labels) -> Calibration:
    """Find the vector scaling with the lowest log loss, with light L2 regularization toward the identity."""
    count, rows = pooled.shape[1], np.arange(len(labels))
    observed = np.eye(count)[labels]
    identity = np.concatenate([np.ones(count), np.zeros(count)])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        predicted = softmax(parameters[:count] * pooled + parameters[count:], axis=1)
        error, offset = predicted - observed, parameters - identity
        value = -np.log(np.maximum(predicted[rows, labels], np.exp(MIN_LOG))).mean() + _L2 * (offset @ offset)
        gradient = np.concatenate([(error * pooled).mean(axis=0), error.mean(axis=0)]) + 2 * _L2 * offset
        return float(value), gradient

    found = minimize(loss, identity, jac=True, method="L-BFGS-B").x
    return Calibration(scale=found[:count], bias=found[count:])


def fit_prediction_sets(probabilities: Probabilities, labels: Labels) -> tuple[PredictionSets, ...]:
    """Fit the conformal thresholds of every coverage on rows that no member was fitted on."""
    return tuple(
        PredictionSets(coverage=coverage, thresholds=conformal_thresholds(probabilities, labels, coverage))
        for coverage in COVERAGES
    )


def conformal_thresholds(probabilities: Probabilities, labels: Labels, coverage: float) -> tuple[float, ...]:
    """Find the split conformal threshold of each outcome: the least probability at which it is in a prediction set.

    A rare outcome gets a threshold from its own rows, so that its coverage equals that of the others, which share one.
    """
    count = probabilities.shape[1]
    shares = np.bincount(labels, minlength=count) / len(labels)
    observed = probabilities[np.arange(len(labels)), labels]
    common = _quantile(observed[np.isin(labels, np.flatnonzero(shares >= RARE))], coverage)
    return tuple(
        common if shares[outcome] >= RARE else _quantile(observed[labels == outcome], coverage)
        for outcome in range(count)
    )


def _quantile(observed: NDArray[np.float64], coverage: float) -> float:
    """Return the largest threshold that keeps the coverage for one more row: rank floor((n + 1)(1 - coverage))."""
    rank = int(np.floor((len(observed) + 1) * (1 - coverage) + 1e-9))
    return float(np.sort(observed)[rank - 1]) if rank >= 1 else 0.0
