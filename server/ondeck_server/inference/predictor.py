"""Predicts instances with leased versions; independent of messages and of the network."""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter

from ondeck_core.derived_stats import batted_ball_stats, called_strike_stats, confidence, prediction_sets
from ondeck_core.instances import Matrix, validate
from ondeck_core.tasks import Task
from ondeck_server.batching.queue import Outputs
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.servable import TaskLease
from ondeck_server.models.version_resolution import ModelRef


@dataclass(frozen=True, kw_only=True)
class PredictionInput:
    """Instances of shape (n, fields), and the seconds until the deadline of the call, None: no deadline.

    `path` and `name_rows` determine how an error names a field.
    """

    instances: Matrix
    path: str
    name_rows: bool = False
    within: float | None = None


@dataclass(frozen=True, kw_only=True)
class PredictionResult:
    """Predictions for n instances: probabilities of shape (n, outcomes), derived statistics by name of shape (n,).

    `sets` has for each coverage a mask of shape (n, outcomes) with the outcomes of each prediction set;
    `ensemble_spread` and `confidence` are of shape (n,).
    """

    lease: TaskLease
    probabilities: Matrix
    derived_stats: dict[str, Matrix]
    sets: dict[float, NDArray[np.bool_]]
    ensemble_spread: Matrix
    confidence: Matrix

    @property
    def task(self) -> Task:
        """The task of the version."""
        return self.lease.version.task


class Predictor:
    """Predicts with the loaded versions of a repository."""

    def __init__(self, models: ModelManager, registry: CollectorRegistry) -> None:
        self._models = models
        self._series: dict[tuple[str, int], Counter] = {}
        self._rows = Counter("ondeck_predicted_rows", "Rows predicted.", ("model", "version"), registry=registry)

    def lease(self, ref: ModelRef) -> TaskLease:
        """Lease the version of a reference; errors as `ModelManager.task_lease`."""
        return self._models.task_lease(ref)

    async def predict(self, lease: TaskLease, inputs: PredictionInput) -> PredictionResult:
        """Predict instances.

        Raises:
            InvalidInstanceError: at least one instance is invalid; none is predicted.
            QueueFullError: too many rows are queued.
            DeadlineUnmeetableError: the queued rows take longer than the caller's deadline allows.
        """
        _check(lease, inputs)
        return self.finish(lease, inputs.instances, await lease.batcher.infer(inputs.instances, inputs.within))

    async def run(self, lease: TaskLease, instances: Matrix, within: float | None) -> Outputs:
        """Run instances of shape (n, fields) without validation; return the outputs for `finish`.

        Raises:
            QueueFullError: too many rows are queued.
            DeadlineUnmeetableError: the queued rows take longer than `within` seconds.
        """
        return await lease.batcher.infer(instances, within)

    def start(self, lease: TaskLease, inputs: PredictionInput) -> asyncio.Future[Outputs]:
        """Submit one instance and return the future of its outputs; errors as `predict`, raised at once."""
        _check(lease, inputs)
        return lease.batcher.submit(inputs.instances, inputs.within)

    def _counter(self, model: str, version: int) -> Counter:
        """Return the counter of a version; a lookup by labels costs more than the increment, so it is cached."""
        found = self._series.get((model, version))
        if found is None:
            found = self._series[model, version] = self._rows.labels(model, str(version))
        return found

    def finish(self, lease: TaskLease, instances: Matrix, outputs: Outputs) -> PredictionResult:
        """Return the result for the outputs of a run: probabilities and ensemble spread."""
        probabilities, ensemble_spread = outputs
        manifest = lease.version.manifest
        self._counter(manifest.model, manifest.version).inc(len(instances))
        return PredictionResult(
            lease=lease,
            probabilities=probabilities,
            derived_stats=_derived_stats(lease.version.task, probabilities, instances),
            sets={each.coverage: prediction_sets(probabilities, each.thresholds) for each in manifest.prediction_sets},
            ensemble_spread=ensemble_spread,
            confidence=confidence(probabilities),
        )


def _check(lease: TaskLease, inputs: PredictionInput) -> None:
    validate(lease.version.task.instance, inputs.instances, path=inputs.path, name_rows=inputs.name_rows)


def _derived_stats(task: Task, probabilities: Matrix, instances: Matrix) -> dict[str, Matrix]:
    if task.name == "batted_ball":
        return batted_ball_stats(probabilities)
    if task.name == "called_strike":
        return called_strike_stats(probabilities, instances)
    return {}
