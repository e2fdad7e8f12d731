import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ondeck_core.instances import Matrix
from ondeck_server.adding import publish_graph
from ondeck_server.batching import QueueFullError
from ondeck_server.graphs import LAST, Graph, Graphs, Tally, WaitedTooLongError
from ondeck_server.models.loaded import LoadedGraph, load_any
from ondeck_server.models.session import Session
from ondeck_server.settings import ROWS_A_RUN
from tests.made_up_graphs import WIDTH, scoring


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> LoadedGraph:
    models = tmp_path_factory.mktemp("graphs")
    publish_graph(models, "scoring", scoring())
    return load_any(models / "scoring" / "1", "scoring", 1)


class Counting:
    """A session that keeps what it ran."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.outputs = session.outputs
        self.runs: list[Matrix] = []

    def infer(self, features: Matrix) -> list[NDArray[Any]]:
        self.runs.append(features)
        return self.session.infer(features)


def counting(version: LoadedGraph, limit: int = 10**6) -> tuple[Counting, Graph]:
    counted = Counting(version.session)
    return counted, Graph(counted, Tally(), limit)  # type: ignore[arg-type]  # runs as a session does


def some(rows: int, seed: int = 3) -> Matrix:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def assert_same(found: Any, expected: list[NDArray[Any]]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


async def test_callers_of_one_turn_share_one_run(version: LoadedGraph) -> None:
    counted, graph = counting(version)
    rows = some(10)
    answers = await asyncio.gather(*(graph.start(rows[i : i + 1]) for i in range(10)))
    assert [len(run) for run in counted.runs] == [10]
    assert_same([np.concatenate(each) for each in zip(*answers, strict=True)], version.session.infer(rows))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    callers=st.lists(
        st.tuples(st.integers(1, 300), st.sampled_from(["wait", "cancel", "later", "first"])), min_size=1, max_size=12
    )
)
async def test_each_caller_gets_the_tensors_of_his_own_rows(
    version: LoadedGraph, callers: list[tuple[int, str]]
) -> None:
    _, graph = counting(version)
    asked: list[tuple[Matrix, asyncio.Future[Any]]] = []
    for number, (rows, how) in enumerate(callers):
        if how == "later":
            await asyncio.sleep(0)
        features = some(rows, seed=number)
        answer = graph.start(features, priority=1 if how == "first" else LAST)
        if how == "cancel":
            answer.cancel()
        else:
            asked.append((features, answer))
    for features, answer in asked:
        assert_same(await answer, version.session.infer(features))
    assert graph.tally.rows == sum(len(features) for features, _ in asked)


async def test_a_large_request_is_run_in_parts(version: LoadedGraph) -> None:
    counted, graph = counting(version)
    rows = some(2 * ROWS_A_RUN + 5)
    assert_same(await graph.start(rows), version.session.infer(rows))
    assert [len(run) for run in counted.runs] == [ROWS_A_RUN, ROWS_A_RUN, 5]


async def test_the_lowest_priority_number_is_run_first(version: LoadedGraph) -> None:
    counted, graph = counting(version)
    full = ROWS_A_RUN - 1  # two do not fit into a run
    answers = [graph.start(some(full, seed), priority=priority) for seed, priority in ((1, LAST), (2, 5), (3, 1))]
    await asyncio.gather(*answers)
    for ran, seed in zip(counted.runs, (3, 2, 1), strict=True):
        np.testing.assert_array_equal(ran, some(full, seed))


async def test_a_request_that_waited_too_long_is_not_run(version: LoadedGraph) -> None:
    counted, graph = counting(version)
    late, patient = graph.start(some(1), seconds=-1.0), graph.start(some(2), seconds=60.0)
    with pytest.raises(WaitedTooLongError):
        await late
    assert len((await patient)[0]) == 2
    assert [len(run) for run in counted.runs] == [2]


async def test_a_full_queue_refuses_and_runs_what_it_took(version: LoadedGraph) -> None:
    _, graph = counting(version, limit=3)
    taken = graph.start(some(2))
    with pytest.raises(QueueFullError):
        graph.start(some(2))
    assert len((await taken)[0]) == 2


async def test_a_run_that_breaks_is_told_to_each_caller_and_the_next_one_runs(version: LoadedGraph) -> None:
    _, graph = counting(version)
    answers = [graph.start(some(1)), graph.start(np.zeros((1, WIDTH + 1), np.float32))]
    told = await asyncio.gather(*answers, return_exceptions=True)
    assert all(isinstance(each, Exception) for each in told)
    assert len((await graph.start(some(1)))[0]) == 1


async def test_a_tally_counts_rows_runs_and_requests(version: LoadedGraph) -> None:
    graphs = Graphs(10**6)
    await asyncio.gather(*(graphs.of(version).start(some(3)) for _ in range(4)))
    tally = graphs.tally("scoring", 1)
    assert (tally.rows, tally.runs, tally.ran) == (12, 1, 4)
    assert min(tally.queue, tally.compute_input, tally.compute_infer, tally.compute_output) > 0
    assert graphs.tally("scoring", 2) == Tally()


async def test_a_version_that_is_loaded_anew_goes_on_counting(version: LoadedGraph, tmp_path: Path) -> None:
    graphs = Graphs(10**6)
    await graphs.of(version).start(some(3))
    publish_graph(tmp_path, "scoring", scoring())
    again = load_any(tmp_path / "scoring" / "1", "scoring", 1)
    await graphs.of(again).start(some(2))
    assert graphs.of(again).session is again.session
    assert graphs.tally("scoring", 1).rows == 5
