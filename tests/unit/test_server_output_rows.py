"""A graph that returns fewer rows than it was given: its outputs belong to no rows, and no caller gets them."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from ondeck_core.instances import Matrix
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.onnx_session import OnnxSession, OutputShapeError
from ondeck_server.batching.batcher import MAX_BATCH_ROWS, Batcher
from ondeck_server.models.servable import load_any
from tests.factories.model_managers import batching_config
from tests.factories.onnx_graphs import WIDTH, row_dropping_graph

DROPPED = 1e9
REFUSED = r"^the graph returns kept of shape \[{}, 4\], not \[{}, 4\]$"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> OnnxSession:
    models = tmp_path_factory.mktemp("models")
    publish_graph(models, "dropping", row_dropping_graph())
    return load_any(Path(models / "dropping" / "1"), "dropping", 1).session


def rows(count: int, *dropped: int) -> Matrix:
    values = np.arange(count * WIDTH, dtype=np.float32).reshape(count, WIDTH)
    values[list(dropped)] = DROPPED
    return values


async def test_a_request_that_loses_a_row_is_refused_and_the_next_one_is_answered(session: OnnxSession) -> None:
    batcher = Batcher(session.infer, batching_config())
    with pytest.raises(OutputShapeError, match=REFUSED.format(2, 3)):
        await batcher.submit(rows(3, 1))
    np.testing.assert_array_equal((await batcher.submit(rows(3)))[0], rows(3))


@pytest.mark.parametrize("left", [0, 1, MAX_BATCH_ROWS - 1])
async def test_a_slice_of_a_large_request_that_loses_rows_is_refused(session: OnnxSession, left: int) -> None:
    batcher = Batcher(session.infer, batching_config())
    second = range(MAX_BATCH_ROWS + left, 2 * MAX_BATCH_ROWS)
    with pytest.raises(OutputShapeError, match=REFUSED.format(left, MAX_BATCH_ROWS)):
        await batcher.infer(rows(3 * MAX_BATCH_ROWS, *second))
    large = rows(3 * MAX_BATCH_ROWS)
    np.testing.assert_array_equal((await batcher.infer(large))[0], large)


async def test_no_request_of_a_run_that_loses_a_row_gets_the_rows_of_another(session: OnnxSession) -> None:
    batcher = Batcher(session.infer, batching_config())
    requests = (rows(1, 0), rows(2), rows(1) + 5)
    outcomes = await asyncio.gather(*map(batcher.submit, requests), return_exceptions=True)
    assert [type(each) for each in outcomes] == [OutputShapeError] * 3
    assert {str(each) for each in outcomes} == {"the graph returns kept of shape [3, 4], not [4, 4]"}  # of one run
