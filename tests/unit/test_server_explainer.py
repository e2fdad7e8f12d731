"""Explanations in the server: fairness and exactness."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS
from ondeck_server.inference.explainer import explain
from ondeck_server.inference.predictor import Predictor
from ondeck_server.models.servable import TaskLease
from ondeck_server.models.version_resolution import ModelRef
from ondeck_trainer.artifact.parity import draw_instances
from tests.factories.model_managers import open_model_manager


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def predictor(explaining_repository: Path) -> Predictor:
    return Predictor(await open_model_manager(explaining_repository))


@pytest.fixture
def lease(predictor: Predictor) -> TaskLease:
    return predictor.lease(ModelRef(model="called_strike"))


@pytest.fixture
def instance() -> Matrix:
    return draw_instances(TASKS["called_strike"].instance, 2, seed=1)[:1]


def with_background(lease: TaskLease, background: Matrix) -> TaskLease:
    lease.version = replace(lease.version, background=background)
    return lease


async def test_predictions_are_answered_during_an_explanation(
    predictor: Predictor, lease: TaskLease, instance: Matrix
) -> None:
    explaining = asyncio.create_task(explain(predictor, lease, instance, ""))
    await asyncio.sleep(0)
    await predictor.predict(lease, instance, None)
    assert not explaining.done()
    explained = await explaining
    added = sum(each.contribution for each in explained.contributions)
    assert explained.base_rate + added == pytest.approx(explained.probability, abs=1e-6)


async def test_an_explanation_is_exact_if_few_fields_differ(
    predictor: Predictor, lease: TaskLease, instance: Matrix
) -> None:
    background = np.repeat(instance, 3, axis=0)
    background[:, 0] += [0.5, 1, 1.5]
    background[:, 1] += 0.5
    explained = await explain(predictor, with_background(lease, background), instance, "called_strike")
    contributing = {each.field for each in explained.contributions if each.contribution}
    assert explained.exact
    assert contributing <= {"plate_x", "plate_z"}
    assert not any(each.standard_error for each in explained.contributions)


async def test_a_field_equal_to_its_background_is_listed_with_zero(
    predictor: Predictor, lease: TaskLease, instance: Matrix
) -> None:
    explained = await explain(predictor, with_background(lease, np.repeat(instance, 2, axis=0)), instance, "ball")
    assert explained.base_rate == explained.probability
    assert {each.contribution for each in explained.contributions} == {0.0}
    assert {"plate_x", "sz_top", "stand"} <= {each.field for each in explained.contributions}
