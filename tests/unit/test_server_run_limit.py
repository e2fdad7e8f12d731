"""The time limit of a run, with graphs that loop as often as their input says."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from ondeck_core.errors import RunTimeoutError
from ondeck_core.instances import Matrix
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.onnx_session import OnnxSession, RunLimiter
from ondeck_server.batching.batcher import MAX_BATCH_ROWS, Batcher, BatchingConfig, LatencyModel, TimedRun
from ondeck_server.models.servable import load_any
from tests.factories.model_managers import batching_config
from tests.factories.onnx_graphs import WIDTH, looping_graph

ENDLESS: Final = 1e15
LIMIT: Final = 1.0


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> OnnxSession:
    models = tmp_path_factory.mktemp("models")
    publish_graph(models, "looping", looping_graph())
    return load_any(Path(models / "looping" / "1"), "looping", 1).session


@pytest.fixture
def config() -> BatchingConfig:
    return batching_config(max_run_seconds=LIMIT)


def short() -> LatencyModel:
    """Return the latency of a graph that runs on the event loop."""
    return LatencyModel([TimedRun(rows=1, seconds=1e-5), TimedRun(rows=256, seconds=1e-4)])


def long() -> LatencyModel:
    """Return the latency of a graph that runs in a thread."""
    return LatencyModel([TimedRun(rows=1, seconds=1), TimedRun(rows=256, seconds=2)])


def rows(count: int, largest: float = 1.0) -> Matrix:
    values = np.full((count, WIDTH), 0.5, dtype=np.float32)
    values[0, 0] = largest
    return values


def test_a_run_that_exceeds_its_time_is_ended_and_the_next_one_is_not(session: OnnxSession) -> None:
    limiter = RunLimiter()
    with pytest.raises(RunTimeoutError, match=r"more than 0\.1 seconds of CPU time"):
        limiter.call(session.infer, rows(1, ENDLESS), 0.1)
    assert len(limiter.call(session.infer, rows(3), 0.1)[0]) == 3


def test_only_the_run_that_exceeds_its_time_is_ended(session: OnnxSession) -> None:
    limiter = RunLimiter()
    with ThreadPoolExecutor() as pool:
        endless = pool.submit(limiter.call, session.infer, rows(1, ENDLESS), 0.3)
        while not endless.done():
            assert len(limiter.call(session.infer, rows(1), 0.3)[0]) == 1
    assert isinstance(endless.exception(), RunTimeoutError)


def test_a_run_that_waits_for_the_processor_keeps_its_time() -> None:
    def wait(found: Matrix) -> tuple[Matrix]:
        time.sleep(0.3)
        return (found,)

    assert RunLimiter().call(wait, rows(1), 0.1)


def test_another_error_of_a_run_is_raised_as_it_is(session: OnnxSession) -> None:
    with pytest.raises(Exception, match="Got invalid dimensions"):
        RunLimiter().call(session.infer, rows(1)[:, :2], 1)


@pytest.mark.parametrize("latency", [short(), long()], ids=["on the loop", "in a thread"])
async def test_calls_that_shared_a_run_with_an_endless_one_get_their_outputs(
    session: OnnxSession, config: BatchingConfig, latency: LatencyModel
) -> None:
    timeouts = list[str]()
    batcher = Batcher(session.infer, config, latency=latency, on_timeout=lambda: timeouts.append("ended"))
    before = batcher.submit(rows(2))
    endless = batcher.submit(rows(1, ENDLESS))
    after = batcher.submit(rows(3))
    async with asyncio.timeout(60):
        answers = await asyncio.gather(before, endless, after, return_exceptions=True)
    assert [len(each[0]) for each in (answers[0], answers[2]) if not isinstance(each, BaseException)] == [2, 3]
    assert isinstance(answers[1], RunTimeoutError)
    assert timeouts == ["ended"]
    assert len((await batcher.submit(rows(4)))[0]) == 4


async def test_an_endless_run_leaves_the_loop_and_the_threads_of_other_graphs(
    session: OnnxSession, config: BatchingConfig
) -> None:
    suspect = Batcher(session.infer, config, latency=short())
    other = Batcher(session.infer, config, latency=long())
    endless = suspect.submit(rows(1, ENDLESS))
    while not suspect._suspect_until > 0:  # noqa: ASYNC110  the batcher has no event for it
        await asyncio.sleep(0.01)
    answered = 0
    while not endless.done():
        assert len((await other.infer(rows(MAX_BATCH_ROWS)))[0]) == MAX_BATCH_ROWS
        answered += 1
    assert answered >= 10
    with pytest.raises(RunTimeoutError):
        await endless


async def test_a_bulk_call_with_an_endless_slice_fails_and_frees_its_allowance(
    session: OnnxSession, config: BatchingConfig
) -> None:
    batcher = Batcher(session.infer, replace(config, max_queued_bulk_rows=1000), latency=short())
    with pytest.raises(RunTimeoutError):
        await batcher.infer(rows(1000, ENDLESS))
    assert len((await batcher.infer(rows(1000)))[0]) == 1000
