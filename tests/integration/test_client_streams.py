"""Streams that break: a tiny real gRPC server answers so many instances of each call, then ends it as it is told."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_client import (
    AsyncClient,
    BattedBall,
    Client,
    IncompleteStreamError,
    OutOfOrderError,
    StreamRetryPolicy,
)

BALL = BattedBall(launch_speed=100, launch_angle=20)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
AT_ONCE = "0"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """End a call after so many answers, given so many at a time, and after as many instances that it leaves unanswered.

    `pushback` is what the server says of another try, in milliseconds.
    """

    answers: int
    at_a_time: int = 1
    unanswered: int = 0
    code: grpc.StatusCode = UNAVAILABLE
    pushback: str = AT_ONCE


@dataclass(kw_only=True)
class Breaking:
    """Ends one call after the other as it is told; those after them it answers to their end."""

    endings: list[Ending] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def stream(
        self, requests: Iterator[StreamPredictRequest], context: grpc.ServicerContext
    ) -> Iterator[StreamPredictResponse]:
        context.add_callback(self.ended.set)
        self.times.append(time.monotonic())
        self.begun.set()
        ending = self.endings.pop(0) if self.endings else None
        asked: list[str] = []
        self.asked.append(asked)
        answers: list[StreamAnswer] = []
        answered = 0
        while ending is None or answered < ending.answers:
            request = next(requests, None)
            if request is None:
                break
            asked.append(request.id)
            answers.append(StreamAnswer(id=self.renamed.get(request.id, request.id)))
            if ending is None or len(answers) == min(ending.at_a_time, ending.answers - answered):
                yield StreamPredictResponse(answers=answers)
                answered += len(answers)
                answers.clear()
        if ending is not None:
            asked.extend(each.id for each in islice(requests, ending.unanswered))
            self._end(ending, context)

    @staticmethod
    def _end(ending: Ending, context: grpc.ServicerContext) -> None:
        if ending.code is grpc.StatusCode.OK:
            return
        context.set_trailing_metadata((("grpc-retry-pushback-ms", ending.pushback),))
        context.abort(ending.code, "the server is told to break")


@contextmanager
def listening(breaking: Breaking) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    handler = grpc.stream_stream_rpc_method_handler(
        breaking.stream,
        request_deserializer=StreamPredictRequest.FromString,
        response_serializer=StreamPredictResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler("ondeck.v1.PredictionService", {"StreamPredict": handler})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


@dataclass(kw_only=True)
class Shelf:
    """Instances to ask; tells how many were taken from it."""

    count: int
    taken: int = 0

    def __iter__(self) -> Iterator[tuple[str, BattedBall]]:
        assert self.taken == 0, "iterated a second time"
        for number in range(self.count):
            self.taken += 1
            yield str(number), BALL

    async def awaited(self) -> AsyncIterator[tuple[str, BattedBall]]:
        for each in self:
            await asyncio.sleep(0)
            yield each


def ids(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def heard(target: str, shelf: Shelf, persistence: StreamRetryPolicy | None = None) -> list[str]:
    with Client(target, health=None) as client:
        return [answer.id for answer in client.stream("batted_ball", shelf, persistence=persistence)]


async def heard_async(target: str, shelf: Shelf, persistence: StreamRetryPolicy | None = None) -> list[str]:
    async with AsyncClient(target, health=None) as client:
        return [answer.id async for answer in client.stream("batted_ball", shelf, persistence=persistence)]


async def heard_awaited(target: str, shelf: Shelf, persistence: StreamRetryPolicy | None = None) -> list[str]:
    async with AsyncClient(target, health=None) as client:
        return [answer.id async for answer in client.stream("batted_ball", shelf.awaited(), persistence=persistence)]


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
def test_whatever_breaks_when_each_instance_is_answered_once_in_order(
    endings: list[Ending], count: int, most: int
) -> None:
    shelf = Shelf(count=count)
    with listening(Breaking(endings=list(endings))) as target:
        assert heard(target, shelf, StreamRetryPolicy(unanswered=most)) == ids(count)
    assert shelf.taken == count


@pytest.mark.parametrize("ask", [heard_async, heard_awaited])
def test_on_asyncio_too_each_instance_is_answered_once_in_order(
    ask: Callable[[str, Shelf, StreamRetryPolicy], Coroutine[None, None, list[str]]],
) -> None:
    @MANY
    @BREAKS
    def holds(endings: list[Ending], count: int, most: int) -> None:
        shelf = Shelf(count=count)
        with listening(Breaking(endings=list(endings))) as target:
            assert asyncio.run(ask(target, shelf, StreamRetryPolicy(unanswered=most))) == ids(count)
        assert shelf.taken == count

    holds()


def test_what_had_no_answer_is_asked_again_and_nothing_else() -> None:
    breaking = Breaking(endings=[Ending(answers=3), Ending(answers=2)])
    with listening(breaking) as target:
        assert heard(target, Shelf(count=10)) == ids(10)
    assert [asked[0] for asked in breaking.asked] == ["0", "3", "5"]
    assert breaking.asked[-1] == ids(10)[5:]


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INTERNAL])
def test_another_status_is_raised_at_once(code: grpc.StatusCode) -> None:
    breaking = Breaking(endings=[Ending(answers=1, code=code)] * 9)
    with listening(breaking) as target, pytest.raises(grpc.RpcError) as failed:
        heard(target, Shelf(count=5))
    assert code_of(failed.value) is code
    assert len(breaking.asked) == 1


async def test_another_status_is_raised_on_asyncio() -> None:
    breaking = Breaking(endings=[Ending(answers=0, code=grpc.StatusCode.PERMISSION_DENIED)] * 9)
    with listening(breaking) as target, pytest.raises(grpc.RpcError) as failed:
        await heard_awaited(target, Shelf(count=1))
    assert code_of(failed.value) is grpc.StatusCode.PERMISSION_DENIED


def test_a_server_that_breaks_call_after_call_is_given_up_with_its_last_error() -> None:
    breaking = Breaking(endings=[Ending(answers=2, unanswered=1), *[Ending(answers=0, unanswered=1)] * 99])
    with listening(breaking) as target, pytest.raises(grpc.RpcError, match="the server is told to break"):
        heard(target, Shelf(count=5), StreamRetryPolicy(breaks=6))
    assert len(breaking.asked) == 7


async def test_on_asyncio_it_is_given_up_too() -> None:
    breaking = Breaking(endings=[Ending(answers=2, unanswered=1), *[Ending(answers=0, unanswered=1)] * 99])
    with listening(breaking) as target, pytest.raises(grpc.RpcError):
        await heard_awaited(target, Shelf(count=5), StreamRetryPolicy(breaks=6))
    assert len(breaking.asked) == 7


def test_an_answer_in_between_gives_new_patience() -> None:
    breaking = Breaking(endings=[Ending(answers=1)] * 20)
    with listening(breaking) as target:
        assert heard(target, Shelf(count=25), StreamRetryPolicy(breaks=1)) == ids(25)
    assert len(breaking.asked) == 21


def test_a_server_that_asks_for_time_gets_it() -> None:
    breaking = Breaking(endings=[Ending(answers=1, unanswered=1, pushback="700")])
    with listening(breaking) as target:
        assert heard(target, Shelf(count=2)) == ids(2)
    first, second = breaking.times
    assert 0.7 <= second - first < 5


def test_a_server_that_wants_no_other_try_gets_none() -> None:
    breaking = Breaking(endings=[Ending(answers=1, unanswered=1, pushback="-1")])
    with listening(breaking) as target, pytest.raises(grpc.RpcError) as failed:
        heard(target, Shelf(count=2))
    assert code_of(failed.value) is UNAVAILABLE
    assert len(breaking.asked) == 1


def test_a_stream_that_the_server_ends_in_good_order_is_not_taken_for_complete() -> None:
    breaking = Breaking(endings=[Ending(answers=2, unanswered=1, code=grpc.StatusCode.OK)] * 9)
    with listening(breaking) as target, pytest.raises(IncompleteStreamError):
        heard(target, Shelf(count=3), StreamRetryPolicy(seconds=0))


def test_answers_to_something_else_are_an_error() -> None:
    with listening(Breaking(renamed={"1": "2"})) as target, pytest.raises(OutOfOrderError, match="'2'"):
        heard(target, Shelf(count=3))


def test_a_call_that_ends_while_nothing_is_asked_is_no_trouble() -> None:
    breaking = Breaking(endings=[Ending(answers=1)])
    with listening(breaking) as target:
        assert asked_slowly(target, breaking) == ids(3)
    assert breaking.asked == [["0"], ["1", "2"]]


def asked_slowly(target: str, breaking: Breaking) -> list[str]:
    def slowly() -> Iterator[tuple[str, BattedBall]]:
        yield "0", BALL
        assert breaking.ended.wait(10)
        time.sleep(0.2)
        assert len(breaking.asked) == 1, "nobody asked anything, and a call was opened"
        yield from (("1", BALL), ("2", BALL))

    with Client(target, health=None) as client:
        answers = client.stream("batted_ball", slowly(), persistence=StreamRetryPolicy(breaks=0))
        return [answer.id for answer in answers]


def test_no_more_is_read_than_may_be_without_an_answer() -> None:
    shelf = Shelf(count=1000)
    with listening(Breaking()) as target, Client(target, health=None) as client:
        answers = client.stream("batted_ball", shelf, persistence=StreamRetryPolicy(unanswered=7))
        assert next(answers).id == "0"
        time.sleep(0.3)
        assert 1 <= shelf.taken <= 8
        answers.close()


async def test_no_more_is_read_on_asyncio() -> None:
    shelf = Shelf(count=1000)
    with listening(Breaking()) as target:
        async with AsyncClient(target, health=None) as client:
            answers = client.stream("batted_ball", shelf.awaited(), persistence=StreamRetryPolicy(unanswered=7))
            assert (await anext(answers)).id == "0"
            await asyncio.sleep(0.3)
            assert 1 <= shelf.taken <= 8
            await answers.aclose()


@pytest.mark.parametrize("asked", [0, 1])
def test_the_time_of_a_stream_is_that_of_all_its_calls(asked: int) -> None:
    left = threading.Event()

    def then_nothing() -> Iterator[tuple[str, BattedBall]]:
        yield from (("0", BALL),) * (1 + asked)
        left.wait(30)

    started = time.monotonic()
    breaking = Breaking(endings=[Ending(answers=1), *[Ending(answers=0, unanswered=1)] * 99])
    with listening(breaking) as target, Client(target, health=None) as client, pytest.raises(grpc.RpcError) as late:
        list(client.stream("batted_ball", then_nothing(), timeout=1, persistence=StreamRetryPolicy(breaks=10**6)))
    left.set()
    assert code_of(late.value) in {grpc.StatusCode.DEADLINE_EXCEEDED, UNAVAILABLE}
    assert 0.5 < time.monotonic() - started < 5


def test_a_stream_that_is_left_early_is_cancelled_at_once() -> None:
    left = threading.Event()

    def until_left() -> Iterator[tuple[str, BattedBall]]:
        yield "0", BALL
        left.wait(60)

    breaking = Breaking()
    with listening(breaking) as target, Client(target, health=None) as client:
        answers = client.stream("batted_ball", until_left())
        assert next(answers).id == "0"
        answers.close()
        assert breaking.ended.wait(2)
        left.set()


async def test_on_asyncio_it_is_cancelled_at_once_and_so_is_what_it_waits_for() -> None:
    stopped = asyncio.Event()

    async def for_ever() -> AsyncIterator[tuple[str, BattedBall]]:
        yield "0", BALL
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    breaking = Breaking()
    with listening(breaking) as target:
        async with AsyncClient(target, health=None) as client:
            answers = client.stream("batted_ball", for_ever())
            assert (await anext(answers)).id == "0"
            await answers.aclose()
            assert stopped.is_set()
            assert await asyncio.to_thread(breaking.ended.wait, 2)


async def test_a_task_that_is_cancelled_while_it_hears_ends_its_call() -> None:
    breaking = Breaking()
    with listening(breaking) as target:
        async with AsyncClient(target, health=None) as client:
            hearing = asyncio.create_task(hear_all(client))
            assert await asyncio.to_thread(breaking.begun.wait, 10)
            hearing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hearing
            assert await asyncio.to_thread(breaking.ended.wait, 2)


async def hear_all(client: AsyncClient) -> None:
    async def for_ever() -> AsyncIterator[tuple[str, BattedBall]]:
        yield "0", BALL
        await asyncio.sleep(60)

    async for _ in client.stream("batted_ball", for_ever()):
        pass


def code_of(error: object) -> grpc.StatusCode:
    assert isinstance(error, (grpc.Call, grpc.aio.AioRpcError))
    code: grpc.StatusCode = error.code()
    return code
