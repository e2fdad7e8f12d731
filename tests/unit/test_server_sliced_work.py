"""Sliced work: every row once and in order, and one slice for each turn of the event loop."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck_server.batching.sliced_work import SLICE_ROWS, SlicedWork


@given(rows=st.integers(1, 5 * SLICE_ROWS))
async def test_slices_cover_every_row_once_in_order(rows: int) -> None:
    slices = await SlicedWork().run(rows, lambda part: range(rows)[part])
    assert [row for part in slices for row in part] == list(range(rows))
    assert max(map(len, slices)) <= SLICE_ROWS


async def test_few_rows_are_worked_on_at_once() -> None:
    with pytest.raises(StopIteration) as ended:
        SlicedWork().run(SLICE_ROWS, lambda part: part.stop).send(None)
    assert ended.value.value == [SLICE_ROWS]


async def test_one_turn_of_the_loop_has_one_slice_of_all_calls_and_calls_alternate() -> None:
    work, turn, done = SlicedWork(), 0, list[tuple[int, str]]()

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    counter = asyncio.create_task(count_turns())
    await asyncio.gather(*(work.run(3 * SLICE_ROWS, lambda _, name=name: done.append((turn, name))) for name in "ab"))  # type: ignore[misc]  # mypy infers no type for a default of a lambda
    counter.cancel()
    assert len({at for at, _ in done}) == len(done) == 6
    assert "".join(name for _, name in done) == "ababab"


async def test_a_call_that_fails_or_is_cancelled_lets_the_others_work() -> None:
    work = SlicedWork()

    def fail(part: slice) -> None:
        if part.start:
            raise ArithmeticError

    cancelled = asyncio.create_task(work.run(10 * SLICE_ROWS, lambda part: part.start))
    failed = asyncio.create_task(work.run(10 * SLICE_ROWS, fail))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(ArithmeticError):
        await failed
    assert len(await work.run(2 * SLICE_ROWS, lambda part: part.start)) == 2
