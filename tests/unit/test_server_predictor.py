"""Predictions of concurrent calls: they share a run, and no call changes the response to another one."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from ondeck.v1.prediction_service_pb2 import Prediction
from ondeck_core.errors import InvalidInstanceError
from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS
from ondeck_server.batching.batcher import Batcher
from ondeck_server.batching.queue import QueueFullError
from ondeck_server.inference.predictor import Predictor
from ondeck_server.models.servable import TaskLease
from ondeck_server.models.version_resolution import ModelRef
from ondeck_server.services.prediction.encode import write_prediction
from ondeck_trainer.artifact.parity import draw_instances
from tests.factories.model_managers import batching_config, open_model_manager


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def predictor(small_repository: Path) -> Predictor:
    return Predictor(await open_model_manager(small_repository))


def lease_of(predictor: Predictor, model: str) -> TaskLease:
    return predictor.lease(ModelRef(model=model))


async def predict(predictor: Predictor, lease: TaskLease, instance: Matrix) -> Prediction:
    prediction = Prediction()
    write_prediction(await predictor.predict(lease, instance, None), prediction)
    return prediction


@pytest.mark.parametrize("name", TASKS)
async def test_a_prediction_is_the_same_to_the_last_bit_alone_and_with_others(predictor: Predictor, name: str) -> None:
    instances = draw_instances(TASKS[name].instance, 60, seed=4)
    with lease_of(predictor, name) as lease:
        runs = lease.servable.stats.execution_count
        together = await asyncio.gather(*(predict(predictor, lease, row[np.newaxis]) for row in instances))
        assert lease.servable.stats.execution_count == runs + 1
        alone = [await predict(predictor, lease, row[np.newaxis]) for row in instances]
    assert together == alone


async def test_an_invalid_instance_fails_only_its_own_call(predictor: Predictor) -> None:
    instances = draw_instances(TASKS["batted_ball"].instance, 3, seed=4)
    invalid = instances[:1].copy()
    invalid[0, :2] = 900, math.nan
    with lease_of(predictor, "batted_ball") as lease:
        before, refused, after = await asyncio.gather(
            *(predict(predictor, lease, each) for each in (instances[1:2], invalid, instances[2:])),
            return_exceptions=True,
        )
        assert isinstance(refused, InvalidInstanceError)
        assert [each.field for each in refused.violations] == ["batted_ball.launch_speed", "batted_ball.launch_angle"]
        assert [before, after] == [await predict(predictor, lease, row[np.newaxis]) for row in instances[1:]]


async def test_a_full_queue_does_not_hide_that_an_instance_is_invalid(predictor: Predictor) -> None:
    instance = draw_instances(TASKS["batted_ball"].instance, 1, seed=4)
    with lease_of(predictor, "batted_ball") as lease:
        lease.batcher = Batcher(lease.version.compute_results, batching_config(max_queued_rows=1))
        queued = lease.batcher.submit(instance)
        with pytest.raises(QueueFullError):
            await predictor.predict(lease, instance, None)
        with pytest.raises(InvalidInstanceError, match="launch_speed"):
            await predictor.predict(lease, np.full_like(instance, 900), None)
        await queued
