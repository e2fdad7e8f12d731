import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondeck_core.instances import Matrix
from ondeck_server.batching import Batcher, QueueFullError
from ondeck_server.models.loaded import LoadedVersion, load
from ondeck_server.settings import ROWS_A_RUN
from ondeck_trainer.golden import make_up_instances


@pytest.fixture(scope="module")
def version(small_repository: Path) -> LoadedVersion:
    return load(small_repository / "batted_ball" / "1", "batted_ball", 1)


class Counting:
    """A version that counts its runs."""

    def __init__(self, version: LoadedVersion) -> None:
        self.version = version
        self.runs: list[int] = []

    def answer(self, instances: Matrix) -> Matrix:
        self.runs.append(len(instances))
        return self.version.answer(instances)


def counting(version: LoadedVersion, limit: int = 10**6) -> tuple[Counting, Batcher]:
    counted = Counting(version)
    return counted, Batcher(counted, limit)  # type: ignore[arg-type]  # answers as a version does


def some(version: LoadedVersion, rows: int, seed: int = 5) -> Matrix:
    return make_up_instances(version.task.instance, rows, seed)


async def test_callers_of_one_turn_share_one_run(version: LoadedVersion) -> None:
    counted, batcher = counting(version)
    rows = some(version, 10)
    answers = await asyncio.gather(*(batcher.submit(rows[i : i + 1]) for i in range(10)))
    assert counted.runs == [10]
    np.testing.assert_allclose(np.vstack(answers), version.answer(rows), atol=1e-6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    callers=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from(["wait", "cancel", "later"])), min_size=1, max_size=12
    )
)
async def test_each_caller_gets_his_own_rows_in_his_own_order(
    version: LoadedVersion, callers: list[tuple[int, str]]
) -> None:
    counted, batcher = counting(version)
    asked: list[tuple[Matrix, asyncio.Future[Matrix]]] = []
    kept_rows = 0
    for number, (rows, how) in enumerate(callers):
        if how == "later":
            await asyncio.sleep(0)
        instances = some(version, rows, seed=number)
        answer = batcher.submit(instances)
        if how == "cancel":
            answer.cancel()
        else:
            asked.append((instances, answer))
            kept_rows += rows
    for instances, answer in asked:
        np.testing.assert_allclose(await answer, version.answer(instances), atol=1e-6)
    await asyncio.sleep(0)
    assert sum(counted.runs) == kept_rows  # what was cancelled before its run was not run


async def test_a_large_call_is_cut_so_that_others_get_their_turn(version: LoadedVersion) -> None:
    counted, batcher = counting(version)
    large = some(version, 3 * ROWS_A_RUN)
    whole = asyncio.create_task(batcher.answer(large))
    await asyncio.sleep(0)
    small = await batcher.submit(large[:1])
    assert not whole.done()
    assert max(counted.runs) <= ROWS_A_RUN
    np.testing.assert_allclose(small, version.answer(large[:1]), atol=1e-6)
    np.testing.assert_allclose(await whole, version.answer(large), atol=1e-6)


async def test_a_full_queue_refuses_at_once_and_runs_nothing_of_it(version: LoadedVersion) -> None:
    counted, batcher = counting(version, limit=5)
    first = batcher.submit(some(version, 4))
    with pytest.raises(QueueFullError, match="4 rows wait already, 5 may"):
        batcher.submit(some(version, 2))
    await first
    assert counted.runs == [4]
    assert (await batcher.submit(some(version, 5))).shape == (5, 6)


async def test_a_run_that_fails_is_told_to_each_of_its_callers(version: LoadedVersion) -> None:
    _, batcher = counting(version)
    bad = np.zeros((1, 2), dtype=np.float32)
    answers = await asyncio.gather(batcher.submit(bad), batcher.submit(bad), return_exceptions=True)
    assert all(isinstance(each, Exception) for each in answers)
    assert (await batcher.submit(some(version, 1))).shape == (1, 6)


def test_a_graph_runs_on_one_thread(version: LoadedVersion) -> None:
    options = version.session._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
