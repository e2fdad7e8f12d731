"""Instances in, answers out. Knows neither messages nor the network."""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter

from ondeck_core.certainty import confidence, prediction_sets
from ondeck_core.figures import batted_ball_figures, called_strike_figures
from ondeck_core.instances import Matrix, check
from ondeck_core.tasks import Task
from ondeck_server.batching import Batcher
from ondeck_server.models.loaded import LoadedVersion
from ondeck_server.models.manager import Chosen, Models, Wanted


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a version says of n instances: probabilities of shape (n, outcomes), figures by name of shape (n,).

    `sets` tells by coverage which outcomes belong to each prediction set, of shape (n, outcomes); `spread` and
    `confidence` are of shape (n,).
    """

    chosen: Chosen
    probabilities: Matrix
    figures: dict[str, Matrix]
    sets: dict[float, NDArray[np.bool_]]
    spread: Matrix
    confidence: Matrix

    @property
    def task(self) -> Task:
        """What was predicted."""
        return self.chosen.version.task


class Predictor:
    """Answers from the loaded versions of a repository."""

    def __init__(self, models: Models, max_waiting_rows: int, registry: CollectorRegistry) -> None:
        self.models = models
        self._rows = Counter("ondeck_rows", "Rows answered.", ("model", "version"), registry=registry)
        self._max_waiting_rows = max_waiting_rows
        self._batchers: dict[int, Batcher] = {}

    def choose(self, wanted: Wanted) -> Chosen:
        """Find the version that a caller means; errors as `Models.choose`."""
        return self.models.choose(wanted)

    async def predict(self, chosen: Chosen, instances: Matrix, *, path: str, rows_named: bool) -> Answer:
        """Answer instances of shape (n, fields); `path` and `rows_named` say how a refusal names a field.

        Raises:
            InvalidInstanceError: at least one row cannot be asked about; none is answered.
            QueueFullError: too many rows wait already.
        """
        check(chosen.version.task.instance, instances, path=path, rows_named=rows_named)
        return self.finish(chosen, instances, await self._batcher(chosen.version).answer(instances))

    async def run(self, version: LoadedVersion, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields), whatever they hold, into what `finish` takes, and no more.

        Raises:
            QueueFullError: too many rows wait already.
        """
        return await self._batcher(version).answer(instances)

    def start(self, chosen: Chosen, instance: Matrix, *, path: str) -> asyncio.Future[Matrix]:
        """Have one instance answered without waiting for it; errors as `predict`, raised at once."""
        check(chosen.version.task.instance, instance, path=path, rows_named=False)
        return self._batcher(chosen.version).submit(instance)

    def finish(self, chosen: Chosen, instances: Matrix, ran: Matrix) -> Answer:
        """Make the answer of what came out of a run: probabilities and, in the last column, the members' spread."""
        probabilities, apart = probabilities_of(ran), ran[:, -1]
        self._rows.labels(chosen.version.manifest.model, str(chosen.version.manifest.version)).inc(len(instances))
        figures = _figures(chosen.version.task, probabilities, instances)
        return Answer(
            chosen=chosen,
            probabilities=probabilities,
            figures=figures,
            sets={
                each.coverage: prediction_sets(probabilities, each.thresholds)
                for each in chosen.version.manifest.prediction_sets
            },
            spread=apart,
            confidence=confidence(probabilities),
        )

    def _batcher(self, version: LoadedVersion) -> Batcher:
        batcher = self._batchers.get(id(version))
        if batcher is None:
            batcher = self._batchers[id(version)] = Batcher(version, self._max_waiting_rows)
        return batcher


def probabilities_of(ran: Matrix) -> Matrix:
    """Take the probabilities of shape (n, outcomes) out of what came out of a run."""
    return ran[:, :-1]


def _figures(task: Task, probabilities: Matrix, instances: Matrix) -> dict[str, Matrix]:
    if task.name == "batted_ball":
        return batted_ball_figures(probabilities)
    if task.name == "called_strike":
        return called_strike_figures(probabilities, instances)
    return {}
