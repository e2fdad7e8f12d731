"""Streams that break: the client resumes against a real gRPC server that ends each call as scripted."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondeck_client import AsyncClient, BattedBall, Client, IncompleteStreamError, OutOfOrderError, StreamRetryPolicy
from tests.fixtures.stream_server import (
    BALL,
    UNAVAILABLE,
    Ending,
    InstanceSource,
    StreamServer,
    code_of,
    ids,
    read_ids,
    read_ids_async,
    read_ids_from_async_source,
    serve,
)

ENDINGS = st.builds(
    Ending,
    answers=st.integers(0, 12),
    at_a_time=st.integers(1, 4),
    unanswered=st.integers(0, 2),
    code=st.sampled_from([UNAVAILABLE, grpc.StatusCode.OK]),
)
MANY = settings(max_examples=40, deadline=None)
BREAKS = given(endings=st.lists(ENDINGS, max_size=3), count=st.integers(0, 30), most=st.integers(4, 10))


@MANY
@BREAKS
def test_each_instance_is_answered_once_in_order_whenever_the_stream_breaks(
    endings: list[Ending], count: int, most: int
) -> None:
    source = InstanceSource(count=count)
    with serve(StreamServer(endings=list(endings))) as target:
        assert read_ids(target, source, StreamRetryPolicy(unanswered=most)) == ids(count)
    assert source.read_count == count


@pytest.mark.parametrize("ask", [read_ids_async, read_ids_from_async_source])
def test_on_asyncio_each_instance_is_answered_once_in_order(
    ask: Callable[[str, InstanceSource, StreamRetryPolicy], Coroutine[None, None, list[str]]],
) -> None:
    @MANY
    @BREAKS
    def check(endings: list[Ending], count: int, most: int) -> None:
        source = InstanceSource(count=count)
        with serve(StreamServer(endings=list(endings))) as target:
            assert asyncio.run(ask(target, source, StreamRetryPolicy(unanswered=most))) == ids(count)
        assert source.read_count == count

    check()


def test_only_unanswered_instances_are_sent_again() -> None:
    server = StreamServer(endings=[Ending(answers=3), Ending(answers=2)])
    with serve(server) as target:
        assert read_ids(target, InstanceSource(count=10)) == ids(10)
    assert [each[0] for each in server.received] == ["0", "3", "5"]
    assert server.received[-1] == ids(10)[5:]


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INTERNAL])
def test_another_status_is_raised_at_once(code: grpc.StatusCode) -> None:
    server = StreamServer(endings=[Ending(answers=1, code=code)] * 9)
    with serve(server) as target, pytest.raises(grpc.RpcError) as failed:
        read_ids(target, InstanceSource(count=5))
    assert code_of(failed.value) is code
    assert len(server.received) == 1


async def test_another_status_is_raised_on_asyncio() -> None:
    server = StreamServer(endings=[Ending(answers=0, code=grpc.StatusCode.PERMISSION_DENIED)] * 9)
    with serve(server) as target, pytest.raises(grpc.RpcError) as failed:
        await read_ids_from_async_source(target, InstanceSource(count=1))
    assert code_of(failed.value) is grpc.StatusCode.PERMISSION_DENIED


def test_repeated_breaks_raise_the_last_error() -> None:
    server = StreamServer(endings=[Ending(answers=2, unanswered=1), *[Ending(answers=0, unanswered=1)] * 99])
    with serve(server) as target, pytest.raises(grpc.RpcError, match="the server ends the call as scripted"):
        read_ids(target, InstanceSource(count=5), StreamRetryPolicy(breaks=6))
    assert len(server.received) == 7


async def test_repeated_breaks_raise_the_last_error_on_asyncio() -> None:
    server = StreamServer(endings=[Ending(answers=2, unanswered=1), *[Ending(answers=0, unanswered=1)] * 99])
    with serve(server) as target, pytest.raises(grpc.RpcError):
        await read_ids_from_async_source(target, InstanceSource(count=5), StreamRetryPolicy(breaks=6))
    assert len(server.received) == 7


def test_an_answer_resets_the_count_of_breaks() -> None:
    server = StreamServer(endings=[Ending(answers=1)] * 20)
    with serve(server) as target:
        assert read_ids(target, InstanceSource(count=25), StreamRetryPolicy(breaks=1)) == ids(25)
    assert len(server.received) == 21


def test_a_retry_waits_for_the_pushback_of_the_server() -> None:
    server = StreamServer(endings=[Ending(answers=1, unanswered=1, pushback="700")])
    with serve(server) as target:
        assert read_ids(target, InstanceSource(count=2)) == ids(2)
    first, second = server.times
    assert 0.7 <= second - first < 5


def test_a_negative_pushback_prevents_a_retry() -> None:
    server = StreamServer(endings=[Ending(answers=1, unanswered=1, pushback="-1")])
    with serve(server) as target, pytest.raises(grpc.RpcError) as failed:
        read_ids(target, InstanceSource(count=2))
    assert code_of(failed.value) is UNAVAILABLE
    assert len(server.received) == 1


def test_a_stream_that_ends_with_ok_before_all_answers_is_incomplete() -> None:
    server = StreamServer(endings=[Ending(answers=2, unanswered=1, code=grpc.StatusCode.OK)] * 9)
    with serve(server) as target, pytest.raises(IncompleteStreamError):
        read_ids(target, InstanceSource(count=3), StreamRetryPolicy(seconds=0))


def test_an_answer_with_another_id_is_an_error() -> None:
    with serve(StreamServer(renamed={"1": "2"})) as target, pytest.raises(OutOfOrderError, match="'2'"):
        read_ids(target, InstanceSource(count=3))


def test_a_call_that_ends_while_no_request_waits_is_not_retried() -> None:
    server = StreamServer(endings=[Ending(answers=1)])
    with serve(server) as target:
        assert read_ids_slowly(target, server) == ids(3)
    assert server.received == [["0"], ["1", "2"]]


def read_ids_slowly(target: str, server: StreamServer) -> list[str]:
    def slow_instances() -> Iterator[tuple[str, BattedBall]]:
        yield "0", BALL
        assert server.ended.wait(10)
        time.sleep(0.2)
        assert len(server.received) == 1, "a call was opened although no request waited"
        yield from (("1", BALL), ("2", BALL))

    with Client(target, health=None) as client:
        answers = client.stream("batted_ball", slow_instances(), retry_policy=StreamRetryPolicy(breaks=0))
        return [answer.id for answer in answers]


def test_the_source_is_read_only_up_to_the_unanswered_limit() -> None:
    source = InstanceSource(count=1000)
    with serve(StreamServer()) as target, Client(target, health=None) as client:
        answers = client.stream("batted_ball", source, retry_policy=StreamRetryPolicy(unanswered=7))
        assert next(answers).id == "0"
        time.sleep(0.3)
        assert 1 <= source.read_count <= 8
        answers.close()


async def test_the_source_is_read_only_up_to_the_limit_on_asyncio() -> None:
    source = InstanceSource(count=1000)
    with serve(StreamServer()) as target:
        async with AsyncClient(target, health=None) as client:
            answers = client.stream("batted_ball", source.as_async(), retry_policy=StreamRetryPolicy(unanswered=7))
            assert (await anext(answers)).id == "0"
            await asyncio.sleep(0.3)
            assert 1 <= source.read_count <= 8
            await answers.aclose()


@pytest.mark.parametrize("unanswered", [0, 1])
def test_the_timeout_of_a_stream_covers_all_its_calls(unanswered: int) -> None:
    left = threading.Event()

    def instances_then_wait() -> Iterator[tuple[str, BattedBall]]:
        yield from (("0", BALL),) * (1 + unanswered)
        left.wait(30)

    started = time.monotonic()
    server = StreamServer(endings=[Ending(answers=1), *[Ending(answers=0, unanswered=1)] * 99])
    with serve(server) as target, Client(target, health=None) as client, pytest.raises(grpc.RpcError) as late:
        list(
            client.stream("batted_ball", instances_then_wait(), timeout=1, retry_policy=StreamRetryPolicy(breaks=10**6))
        )
    left.set()
    assert code_of(late.value) in {grpc.StatusCode.DEADLINE_EXCEEDED, UNAVAILABLE}
    assert 0.5 < time.monotonic() - started < 5


def test_closing_a_stream_early_cancels_its_call_at_once() -> None:
    left = threading.Event()

    def until_closed() -> Iterator[tuple[str, BattedBall]]:
        yield "0", BALL
        left.wait(60)

    server = StreamServer()
    with serve(server) as target, Client(target, health=None) as client:
        answers = client.stream("batted_ball", until_closed())
        assert next(answers).id == "0"
        answers.close()
        assert server.ended.wait(2)
        left.set()


async def test_closing_a_stream_on_asyncio_cancels_its_call_and_its_source() -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[tuple[str, BattedBall]]:
        yield "0", BALL
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    server = StreamServer()
    with serve(server) as target:
        async with AsyncClient(target, health=None) as client:
            answers = client.stream("batted_ball", endless())
            assert (await anext(answers)).id == "0"
            await answers.aclose()
            assert stopped.is_set()
            assert await asyncio.to_thread(server.ended.wait, 2)


async def test_cancelling_the_reading_task_ends_its_call() -> None:
    server = StreamServer()
    with serve(server) as target:
        async with AsyncClient(target, health=None) as client:
            reading = asyncio.create_task(read_all(client))
            assert await asyncio.to_thread(server.started.wait, 10)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert await asyncio.to_thread(server.ended.wait, 2)


async def read_all(client: AsyncClient) -> None:
    async def endless() -> AsyncIterator[tuple[str, BattedBall]]:
        yield "0", BALL
        await asyncio.sleep(60)

    async for _ in client.stream("batted_ball", endless()):
        pass
