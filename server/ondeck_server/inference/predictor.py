"""Predicts instances with leased versions; independent of messages and of the network."""

import asyncio
from dataclasses import dataclass

from ondeck_core.errors import InvalidInstanceError, OndeckError
from ondeck_core.instances import Matrix, valid_mask, validate, violations
from ondeck_server.batching.queue import Outputs
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.servable import TaskLease
from ondeck_server.models.version_resolution import ModelRef


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionResult:
    """Predictions for n instances: a table of shape (n, columns) with the columns of `lease.version.columns`."""

    lease: TaskLease
    table: Matrix

    @property
    def probabilities(self) -> Matrix:
        """Probabilities of shape (n, outcomes)."""
        return self.table[:, : self.lease.version.columns.outcomes]

    def first(self) -> "PredictionResult":
        """Return the prediction for the first instance."""
        return PredictionResult(lease=self.lease, table=self.table[:1])


class Predictor:
    """Predicts with the loaded versions of a repository."""

    def __init__(self, models: ModelManager) -> None:
        self._models = models

    def lease(self, ref: ModelRef) -> TaskLease:
        """Lease the version of a reference; errors as `ModelManager.task_lease`."""
        return self._models.task_lease(ref)

    async def predict(self, lease: TaskLease, instance: Matrix, within: float | None) -> PredictionResult:
        """Predict one instance of shape (1, fields).

        Raises:
            InvalidInstanceError: the instance is invalid.
            QueueFullError: too many rows are queued.
            DeadlineUnmeetableError: the queued rows take longer than `within` seconds.
        """
        return self.finish(lease, instance, await self.start(lease, instance, within))

    def start(self, lease: TaskLease, instance: Matrix, within: float | None) -> asyncio.Future[Outputs]:
        """Submit one instance and return the future of its outputs for `finish`; errors as `predict`, raised at once.

        A valid instance is validated with its batch, in `finish`.
        """
        try:
            return lease.batcher.submit(instance, within)
        except OndeckError:  # an invalid instance is invalid however many rows are queued
            task = lease.version.task
            validate(task.instance, instance, path=task.instance.path, name_rows=False)
            raise

    def finish(self, lease: TaskLease, instance: Matrix, outputs: Outputs) -> PredictionResult:
        """Return the result of one instance.

        Raises:
            InvalidInstanceError: the instance is invalid.
        """
        (table,) = outputs
        if not table[0, -1]:
            kind = lease.version.task.instance
            raise InvalidInstanceError(violations(kind, instance, path=kind.path, name_rows=False))
        return self._count(PredictionResult(lease=lease, table=table))

    async def predict_batch(self, lease: TaskLease, instances: Matrix, within: float | None) -> PredictionResult:
        """Predict instances of shape (n, fields), all or none; errors as `predict`."""
        await self._validate(lease, instances)
        (table,) = await lease.batcher.infer(instances, within)
        return self._count(PredictionResult(lease=lease, table=table))

    async def run(self, lease: TaskLease, instances: Matrix, within: float | None) -> PredictionResult:
        """Predict instances of shape (n, fields) without validation, and count them as one row.

        Raises:
            QueueFullError: too many rows are queued.
            DeadlineUnmeetableError: the queued rows take longer than `within` seconds.
        """
        (table,) = await lease.batcher.infer(instances, within)
        self._count(PredictionResult(lease=lease, table=table[:1]))
        return PredictionResult(lease=lease, table=table)

    async def _validate(self, lease: TaskLease, instances: Matrix) -> None:
        kind = lease.version.task.instance

        def are_valid(rows: slice) -> bool:
            return bool(valid_mask(kind, instances[rows]).all())

        if not all(await lease.batcher.in_slices(len(instances), are_valid)):
            raise InvalidInstanceError(violations(kind, instances, path=kind.columns_path, name_rows=True))

    def _count(self, result: PredictionResult) -> PredictionResult:
        result.lease.servable.metrics.predicted_rows.inc(len(result.table))
        return result
