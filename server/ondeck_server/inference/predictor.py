"""Instances in, answers out. Knows neither messages nor the network."""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter

from ondeck_core.derived_stats import batted_ball_figures, called_strike_figures, confidence, prediction_sets
from ondeck_core.instances import Matrix, validate
from ondeck_core.tasks import Task
from ondeck_server.batching.queue import Outputs
from ondeck_server.models.catalog import ModelRef
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.servable import TaskLease


@dataclass(frozen=True, kw_only=True)
class PredictionInput:
    """Instances of shape (n, fields) that a caller asks about, and the seconds that he has, None: all the time.

    `path` and `rows_named` say how a refusal names a field.
    """

    instances: Matrix
    path: str
    rows_named: bool = False
    within: float | None = None


@dataclass(frozen=True, kw_only=True)
class PredictionResult:
    """What a version says of n instances: probabilities of shape (n, outcomes), figures by name of shape (n,).

    `sets` tells by coverage which outcomes belong to each prediction set, of shape (n, outcomes); `ensemble_spread` and
    `confidence` are of shape (n,).
    """

    lease: TaskLease
    probabilities: Matrix
    derived_stats: dict[str, Matrix]
    sets: dict[float, NDArray[np.bool_]]
    ensemble_spread: Matrix
    confidence: Matrix

    @property
    def task(self) -> Task:
        """What was predicted."""
        return self.lease.version.task


class Predictor:
    """Answers from the loaded versions of a repository."""

    def __init__(self, models: ModelManager, registry: CollectorRegistry) -> None:
        self._models = models
        self._series: dict[tuple[str, int], Counter] = {}
        self._rows = Counter("ondeck_predicted_rows", "Rows predicted.", ("model", "version"), registry=registry)

    def lease(self, wanted: ModelRef) -> TaskLease:
        """Take a lease on the version that a caller means; errors as `ModelManager.task_lease`."""
        return self._models.task_lease(wanted)

    async def predict(self, lease: TaskLease, asked: PredictionInput) -> PredictionResult:
        """Answer instances.

        Raises:
            InvalidInstanceError: at least one row cannot be asked about; none is answered.
            QueueFullError: too many rows wait already.
            DeadlineUnmeetableError: those that wait take longer than the caller has time.
        """
        _check(lease, asked)
        return self.finish(lease, asked.instances, await lease.batcher.infer(asked.instances, asked.within))

    async def run(self, lease: TaskLease, instances: Matrix, within: float | None) -> Outputs:
        """Turn instances of shape (n, fields), whatever they hold, into what `finish` takes, and no more.

        Raises:
            QueueFullError: too many rows wait already.
            DeadlineUnmeetableError: those that wait take longer than the caller has time.
        """
        return await lease.batcher.infer(instances, within)

    def start(self, lease: TaskLease, asked: PredictionInput) -> asyncio.Future[Outputs]:
        """Have one instance answered without waiting for it; errors as `predict`, raised at once."""
        _check(lease, asked)
        return lease.batcher.submit(asked.instances, asked.within)

    def _counted(self, model: str, version: int) -> Counter:
        """Find a series once: to find it by its labels costs more than to count."""
        found = self._series.get((model, version))
        if found is None:
            found = self._series[model, version] = self._rows.labels(model, str(version))
        return found

    def finish(self, lease: TaskLease, instances: Matrix, ran: Outputs) -> PredictionResult:
        """Make the answer of what came out of a run: probabilities and the members' spread."""
        probabilities, apart = ran
        manifest = lease.version.manifest
        self._counted(manifest.model, manifest.version).inc(len(instances))
        return PredictionResult(
            lease=lease,
            probabilities=probabilities,
            derived_stats=_derived_stats(lease.version.task, probabilities, instances),
            sets={each.coverage: prediction_sets(probabilities, each.thresholds) for each in manifest.prediction_sets},
            ensemble_spread=apart,
            confidence=confidence(probabilities),
        )


def _check(lease: TaskLease, asked: PredictionInput) -> None:
    validate(lease.version.task.instance, asked.instances, path=asked.path, rows_named=asked.rows_named)


def _derived_stats(task: Task, probabilities: Matrix, instances: Matrix) -> dict[str, Matrix]:
    if task.name == "batted_ball":
        return batted_ball_figures(probabilities)
    if task.name == "called_strike":
        return called_strike_figures(probabilities, instances)
    return {}
