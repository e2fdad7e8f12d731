"""Bulk rows beside interactive ones: allowances of their own, bounded slices, and progress of both."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondeck_core.instances import Matrix
from ondeck_server.batching.batcher import (
    BULK_RUN_SECONDS,
    INTERACTIVE_ROWS,
    MAX_BATCH_ROWS,
    Batcher,
    BatchingConfig,
    LatencyModel,
    TimedRun,
)
from ondeck_server.batching.queue import Outputs, Priority, QueueFullError
from tests.factories.model_managers import batching_config

BULK_LIMIT = 4 * MAX_BATCH_ROWS


class SimulatedGraph:
    """A graph that returns its rows and records them; its clock advances by a fixed time and one for each row."""

    def __init__(self, fixed: float, row: float) -> None:
        self.runs: list[list[float]] = []
        self.now = 0.0
        self._fixed, self._row = fixed, row

    def seconds(self, rows: int) -> float:
        return self._fixed + self._row * rows

    def run(self, rows: Matrix) -> Outputs:
        self.runs.append(rows[:, 0].tolist())
        self.now += self.seconds(len(rows))
        return (rows.copy(),)

    def batcher(self, config: BatchingConfig) -> Batcher:
        latency = LatencyModel([TimedRun(rows=rows, seconds=self.seconds(rows)) for rows in (1, MAX_BATCH_ROWS)])
        return Batcher(self.run, config, latency=latency, clock=lambda: self.now)


FAST = {"fixed": 0.0, "row": 1e-6}
SLOW = {"fixed": 0.0, "row": 1e-3}
HEAVY = {"fixed": 0.03, "row": 1e-5}


def numbered(rows: int, start: int = 0) -> Matrix:
    return np.arange(start, start + rows, dtype=np.float32).reshape(-1, 1)


CALLS = st.lists(
    st.tuples(
        st.integers(1, INTERACTIVE_ROWS) | st.integers(INTERACTIVE_ROWS + 1, 2 * BULK_LIMIT),
        st.sampled_from([None, *Priority]),
        st.sampled_from(["keep", "cancel", "turn"]),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=150, deadline=None)
@given(calls=CALLS, speed=st.sampled_from([FAST, SLOW, HEAVY]))
async def test_bulk_rows_refuse_no_interactive_call_and_every_admitted_row_runs_once_in_order(
    calls: Sequence[tuple[int, Priority | None, str]], speed: dict[str, float]
) -> None:
    graph = SimulatedGraph(**speed)
    batcher = graph.batcher(batching_config(max_queued_rows=20 * INTERACTIVE_ROWS, max_queued_bulk_rows=BULK_LIMIT))
    admitted, cancelled, start = list[tuple[Matrix, asyncio.Task[Outputs]]](), set[float](), 0
    for rows, priority, then in calls:
        if then == "turn":
            await asyncio.sleep(0)
        requested = numbered(rows, start)
        start += rows
        task = asyncio.create_task(batcher.infer(requested, None, priority))
        await asyncio.sleep(0)
        if task.done() and task.exception():
            assert isinstance(task.exception(), QueueFullError)
            assert rows > INTERACTIVE_ROWS or priority is Priority.BULK
        elif then == "cancel":
            task.cancel()
            cancelled |= set(requested[:, 0].tolist())
        else:
            admitted.append((requested, task))
    async with asyncio.timeout(30):
        for requested, task in admitted:
            np.testing.assert_array_equal((await task)[0], requested)
    ran = [row for run in graph.runs for row in run]
    assert len(set(ran)) == len(ran)
    assert set(ran) - cancelled == {row for requested, _ in admitted for row in requested[:, 0].tolist()}
    for requested, _ in admitted:
        own = set(requested[:, 0].tolist())
        assert [row for row in ran if row in own] == requested[:, 0].tolist()


@pytest.mark.parametrize(("speed", "rows"), [(FAST, 2560), (SLOW, 200)], ids=["on the loop", "in a thread"])
async def test_bulk_progresses_under_a_steady_load_of_interactive_calls(speed: dict[str, float], rows: int) -> None:
    graph = SimulatedGraph(**speed)
    batcher = graph.batcher(batching_config())
    bulk = asyncio.create_task(batcher.infer(numbered(rows), None, Priority.BULK))

    async def call_without_pause() -> None:
        while not bulk.done():
            await batcher.submit(numbered(100, 10_000))

    async with asyncio.timeout(10):
        await asyncio.gather(*(call_without_pause() for _ in range(3)))
    await bulk
    interactive = [run[0] == 10_000 for run in graph.runs]
    assert sum(interactive) >= 5  # the load was there
    longest = max(map(len, "".join("i" if each else " " for each in interactive).split()))
    assert longest <= 5


async def test_a_bulk_slice_takes_a_bounded_time_and_interactive_rows_run_first() -> None:
    graph = SimulatedGraph(**SLOW)
    batcher = graph.batcher(batching_config())
    bulk = batcher.start(numbered(100), None, Priority.BULK)
    await asyncio.sleep(0)
    small = batcher.submit(numbered(1, 1000))
    await asyncio.gather(bulk, small)
    assert max(map(len, graph.runs)) == BULK_RUN_SECONDS / SLOW["row"]
    assert graph.runs[0] == [1000]


async def test_slices_of_a_graph_with_a_high_fixed_cost_are_large_enough_to_be_efficient() -> None:
    graph = SimulatedGraph(**HEAVY)
    await graph.batcher(batching_config()).infer(numbered(1000))
    assert max(map(len, graph.runs)) == MAX_BATCH_ROWS


async def test_slices_of_concurrent_bulk_calls_alternate() -> None:
    graph = SimulatedGraph(**FAST)
    batcher = graph.batcher(batching_config())
    await asyncio.gather(batcher.infer(numbered(3 * MAX_BATCH_ROWS)), batcher.infer(numbered(3 * MAX_BATCH_ROWS, 9000)))
    assert [run[0] >= 9000 for run in graph.runs] == [False, True] * 3
