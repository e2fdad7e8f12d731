"""The batcher: order, deadlines, priorities and a full queue, on a simulated clock."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondeck_core.instances import Matrix
from ondeck_server.batching.batcher import INLINE_SECONDS, MAX_BATCH_ROWS, Batcher, LatencyModel, TimedRun
from ondeck_server.batching.queue import DeadlineUnmeetableError, Outputs, Priority, QueueFullError
from ondeck_server.models.servable import LoadedVersion, load
from ondeck_trainer.artifact.parity import draw_instances
from tests.factories.model_managers import batching_config

BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE
SLOW = LatencyModel([TimedRun(rows=1, seconds=0.001), TimedRun(rows=256, seconds=0.256)])  # one millisecond per row


class Doubling:
    """A graph that doubles its rows and counts them; `clock` advances one millisecond per row."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.now = 0.0

    def run(self, rows: Matrix) -> Outputs:
        self.runs.append(len(rows))
        self.now += 0.001 * len(rows)
        return rows * 2, rows[:, 0]

    def clock(self) -> float:
        return self.now


def numbered(rows: int, start: int = 0) -> Matrix:
    return np.arange(start, start + rows, dtype=np.float32).reshape(-1, 1)


def assert_own(ran: Outputs, requested: Matrix) -> None:
    np.testing.assert_array_equal(ran[0], requested * 2)
    np.testing.assert_array_equal(ran[1], requested[:, 0])


async def test_calls_of_one_loop_iteration_share_one_run() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config())
    answers = await asyncio.gather(*(batcher.submit(numbered(1, at)) for at in range(10)))
    assert graph.runs == [10]
    for at, ran in enumerate(answers):
        assert_own(ran, numbered(1, at))


def test_batchers_of_two_event_loops_run_at_the_same_time() -> None:
    inside = threading.Barrier(2, timeout=20)

    def meet(rows: Matrix) -> Outputs:
        inside.wait()
        return (rows * 2,)

    async def call() -> float:
        batcher = Batcher(meet, batching_config())
        (doubled,) = await asyncio.wait_for(batcher.submit(numbered(1, 7)), 20)
        return float(doubled[0, 0])

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(asyncio.run, call()) for _ in range(2)]
        assert [each.result() for each in calls] == [14.0, 14.0]


CALLERS = st.lists(
    st.tuples(
        st.integers(1, 3 * MAX_BATCH_ROWS),
        st.sampled_from(
            ["wait", "cancel at once", "cancel later", "submit later", "with too short a deadline", "with a deadline"]
        ),
        st.sampled_from([None, *Priority]),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=150, deadline=None)
@given(callers=CALLERS, latency=st.sampled_from([None, SLOW]), budget=st.sampled_from([0, 0.002]))
async def test_each_caller_gets_its_own_rows_in_order(
    callers: Sequence[tuple[int, str, Priority | None]], latency: LatencyModel | None, budget: float
) -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(max_queue_delay_seconds=budget), latency=latency, clock=graph.clock)
    requested: list[tuple[Matrix, asyncio.Task[Outputs]]] = []
    most_rows = 0
    for rows, how, priority in callers:
        if how == "submit later":
            await asyncio.sleep(0)
        instances = numbered(rows, start=most_rows)
        within = {"with too short a deadline": -1.0, "with a deadline": 1e9}.get(how)
        task = asyncio.create_task(batcher.infer(instances, within, priority))
        if how == "with too short a deadline":
            with pytest.raises(DeadlineUnmeetableError):
                await task
            continue
        most_rows += rows
        if how == "cancel later":
            await asyncio.sleep(0)
        if how.startswith("cancel"):
            task.cancel()
        else:
            requested.append((instances, task))
    for instances, task in requested:
        assert_own(await task, instances)
    async with asyncio.timeout(10):
        while batcher._queue.rows:  # noqa: ASYNC110  the batcher has no event for an empty queue
            await asyncio.sleep(0.001)
    assert sum(len(instances) for instances, _ in requested) <= sum(graph.runs) <= most_rows
    assert max(graph.runs, default=0) <= MAX_BATCH_ROWS


async def test_rows_cancelled_before_their_run_do_not_run() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config())
    kept, left = batcher.submit(numbered(3)), batcher.submit(numbered(40))
    left.cancel()
    assert_own(await kept, numbered(3))
    assert graph.runs == [3]


async def test_a_call_that_cannot_meet_its_deadline_is_refused_at_admission() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(), clock=graph.clock)
    batcher._latency = LatencyModel([TimedRun(rows=1, seconds=0.001), TimedRun(rows=256, seconds=0.256)])
    ahead = batcher.submit(numbered(30))
    with pytest.raises(DeadlineUnmeetableError, match="31 ms of runs are queued, 20 ms are left"):
        batcher.submit(numbered(1), 0.020)
    in_time = batcher.submit(numbered(1), 0.040)
    await asyncio.gather(ahead, in_time)
    assert sum(graph.runs) == 31


async def test_a_large_call_that_cannot_meet_its_deadline_is_refused_before_its_first_run() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(), latency=SLOW, clock=graph.clock)
    with pytest.raises(DeadlineUnmeetableError):
        await batcher.infer(numbered(3 * MAX_BATCH_ROWS), 0.5)
    assert not graph.runs


async def test_a_large_call_with_high_priority_runs_first() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config())
    await asyncio.gather(batcher.infer(numbered(200)), batcher.infer(numbered(MAX_BATCH_ROWS - 1), None, INTERACTIVE))
    assert graph.runs == [MAX_BATCH_ROWS - 1, 200]


async def test_bulk_rows_do_not_count_as_ahead_of_interactive_ones() -> None:
    graph = Doubling()
    batcher = Batcher(
        graph.run,
        batching_config(),
        latency=LatencyModel([TimedRun(rows=1, seconds=0.001), TimedRun(rows=256, seconds=0.256)]),
    )
    bulk = batcher.submit(numbered(200), None, BULK)
    small = batcher.submit(numbered(1), 0.01, INTERACTIVE)
    assert_own(await small, numbered(1))
    assert_own(await bulk, numbered(200))
    assert graph.runs == [1, 200]


async def test_a_long_run_in_flight_counts_only_for_calls_behind_it() -> None:
    release, started = threading.Event(), asyncio.Event()
    loop, now = asyncio.get_running_loop(), [0.0]

    def run(rows: Matrix) -> Outputs:
        loop.call_soon_threadsafe(started.set)
        assert release.wait(10)
        return rows, rows[:, 0]

    batcher = Batcher(run, batching_config(), latency=SLOW, clock=lambda: now[0])
    long = batcher.submit(numbered(200), None, BULK)  # 200 ms
    await started.wait()
    now[0] = 0.05
    with pytest.raises(DeadlineUnmeetableError, match="250 ms of runs are queued, 240 ms are left"):
        batcher.submit(numbered(100), 0.24, BULK)
    later = batcher.submit(numbered(100), 0.26, BULK)
    small = batcher.submit(numbered(1), 0.1)  # runs beside it
    release.set()
    await asyncio.gather(long, later, small)


def test_the_latency_model_learns_from_runs() -> None:
    latency = LatencyModel([TimedRun(rows=1, seconds=0.002), TimedRun(rows=101, seconds=0.102)])
    assert latency.seconds(50) == pytest.approx(0.051)
    for _ in range(100):
        latency.update(TimedRun(rows=10, seconds=0.022))
    assert latency.seconds(50) == pytest.approx(0.102, rel=0.01)
    assert latency.rows_within(0.102) in {49, 50}


async def test_a_full_queue_refuses_at_once_and_runs_nothing() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(max_queued_rows=5))
    first = batcher.submit(numbered(4))
    with pytest.raises(QueueFullError, match="the queue holds 4 of at most 5 interactive rows"):
        batcher.submit(numbered(2))
    await first
    assert graph.runs == [4]
    assert_own(await batcher.submit(numbered(5)), numbered(5))


async def test_a_call_larger_than_the_queue_is_accepted_if_the_queue_is_empty() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(max_queued_rows=5))
    assert_own(await batcher.infer(numbered(7)), numbered(7))


async def test_a_large_call_fills_the_allowance_of_bulk_rows_only() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(max_queued_rows=1, max_queued_bulk_rows=3 * MAX_BATCH_ROWS))
    large = asyncio.create_task(batcher.infer(numbered(3 * MAX_BATCH_ROWS), None, INTERACTIVE))
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError, match="the queue holds 768 of at most 768 bulk rows"):
        batcher.submit(numbered(1), None, BULK)
    assert_own(await batcher.submit(numbered(1)), numbered(1))
    assert not large.done()
    await large
    assert_own(await batcher.submit(numbered(1), None, BULK), numbered(1))


async def test_a_small_call_does_not_wait_behind_a_large_one() -> None:
    running, release = threading.Event(), threading.Event()

    def run(rows: Matrix) -> Outputs:
        if len(rows) == MAX_BATCH_ROWS:
            running.set()
            release.wait(30)
        return (rows,)

    batcher = Batcher(
        run,
        batching_config(),
        latency=LatencyModel([TimedRun(rows=1, seconds=1e-4), TimedRun(rows=256, seconds=2 * INLINE_SECONDS)]),
    )
    large = asyncio.create_task(batcher.infer(numbered(2 * MAX_BATCH_ROWS)))
    while not running.is_set():  # noqa: ASYNC110  it is set in another thread
        await asyncio.sleep(0.001)
    for _ in range(3):
        assert (await batcher.submit(numbered(1)))[0].shape == (1, 1)
    assert not large.done()
    release.set()
    assert (await large)[0].shape == (2 * MAX_BATCH_ROWS, 1)


async def test_a_row_waits_for_a_larger_batch_within_the_queue_delay() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(max_queue_delay_seconds=2))
    first = batcher.submit(numbered(1))
    await asyncio.sleep(0.005)
    await asyncio.gather(first, batcher.submit(numbered(2)))
    assert graph.runs == [3]


async def test_a_full_batch_does_not_wait() -> None:
    graph = Doubling()
    batcher = Batcher(graph.run, batching_config(max_queue_delay_seconds=30))
    await asyncio.wait_for(
        asyncio.gather(batcher.submit(numbered(1)), batcher.submit(numbered(MAX_BATCH_ROWS - 1))), 10
    )
    assert graph.runs == [MAX_BATCH_ROWS]


async def test_a_failed_run_fails_each_of_its_callers_and_no_later_one() -> None:
    def run(rows: Matrix) -> Outputs:
        if len(rows) == 2:
            raise ArithmeticError("a graph that accepts one row")
        return (rows,)

    batcher = Batcher(run, batching_config())
    answers = await asyncio.gather(batcher.submit(numbered(1)), batcher.submit(numbered(1)), return_exceptions=True)
    assert [type(each) for each in answers] == [ArithmeticError] * 2
    assert (await batcher.submit(numbered(1)))[0].shape == (1, 1)


@pytest.fixture(scope="module")
def version(small_repository: Path) -> LoadedVersion:
    return load(small_repository / "batted_ball" / "1", "batted_ball", 1)


async def test_a_real_version_gives_the_same_output_batched_and_single(version: LoadedVersion) -> None:
    batcher = Batcher(version.predict, batching_config(), latency=version.latency)
    instances = draw_instances(version.task.instance, 600, 5)
    small = [batcher.submit(instances[at : at + 1]) for at in range(20)]
    large = await batcher.infer(instances)
    single = version.predict(instances)
    for batched, expected in zip(large, single, strict=True):
        np.testing.assert_allclose(batched, expected, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([(await each)[0] for each in small]), single[0][:20], atol=1e-6)


def test_a_graph_runs_on_one_thread(version: LoadedVersion) -> None:
    options = version.session._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
