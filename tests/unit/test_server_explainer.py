import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS
from ondeck_server.explainer import explain
from ondeck_server.models.manager import Chosen, Models, Wanted
from ondeck_server.predictor import Predictor
from ondeck_trainer.golden import make_up_instances


@pytest.fixture(scope="module")
def predictor(explaining_repository: Path) -> Predictor:
    return Predictor(Models(explaining_repository), 100_000, CollectorRegistry())


@pytest.fixture(scope="module")
def chosen(predictor: Predictor) -> Chosen:
    return predictor.choose(Wanted(model="called_strike"))


@pytest.fixture
def instance() -> Matrix:
    return make_up_instances(TASKS["called_strike"].instance, 2, seed=1)[:1]


def beside(chosen: Chosen, background: Matrix) -> Chosen:
    return replace(chosen, version=replace(chosen.version, background=background))


async def test_others_are_answered_while_an_explanation_is_under_way(
    predictor: Predictor, chosen: Chosen, instance: Matrix
) -> None:
    explaining = asyncio.create_task(explain(predictor, chosen, instance, ""))
    await asyncio.sleep(0)
    await predictor.predict(chosen, instance, path="pitch", rows_named=False)
    assert not explaining.done()
    explained = await explaining
    added = sum(each.contribution for each in explained.contributions)
    assert explained.base_rate + added == pytest.approx(explained.probability, abs=1e-6)


async def test_where_few_fields_differ_the_answer_is_exact(
    predictor: Predictor, chosen: Chosen, instance: Matrix
) -> None:
    background = np.repeat(instance, 3, axis=0)
    background[:, 0] += [0.5, 1, 1.5]
    background[:, 1] += 0.5
    explained = await explain(predictor, beside(chosen, background), instance, "called_strike")
    moved = {each.field for each in explained.contributions if each.contribution}
    assert explained.exact
    assert moved <= {"plate_x", "plate_z"}
    assert not any(each.standard_error for each in explained.contributions)


async def test_what_an_instance_and_its_background_share_is_listed_with_nothing_to_its_credit(
    predictor: Predictor, chosen: Chosen, instance: Matrix
) -> None:
    explained = await explain(predictor, beside(chosen, np.repeat(instance, 2, axis=0)), instance, "ball")
    assert explained.base_rate == explained.probability
    assert {each.contribution for each in explained.contributions} == {0.0}
    assert {"plate_x", "sz_top", "stand"} <= {each.field for each in explained.contributions}
