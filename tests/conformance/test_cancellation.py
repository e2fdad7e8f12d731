"""A caller who goes away is let go at once: what the server counts does not wait for its garbage collector."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest
from h2.events import DataReceived

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, StreamPredictRequest, StreamPredictResponse
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import framed, wired
from tests.conformance.resources import counted
from tests.conformance.stock_client import (
    BATCH_PREDICT,
    OWN_CONNECTION,
    SECONDS,
    SPEC,
    STREAM_PREDICT,
    asked,
    settled,
    within,
)
from tests.fixtures.server import RunningServer

if TYPE_CHECKING:
    from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceAsyncStub

CANCELLED = "CANCELLED"
MANY = 200
AT_ONCE = 20
STALLED = 3
MORE_THAN_THE_WINDOWS_HOLD = 100_000  # messages of a stream: how many are taken in depends on the pace of both ends
Stream: TypeAlias = grpc.aio.StreamStreamCall[StreamPredictRequest, StreamPredictResponse]


@pytest.fixture
async def predictions(running_server: RunningServer) -> AsyncIterator["PredictionServiceAsyncStub"]:
    async with grpc.aio.insecure_channel(running_server.target, [OWN_CONNECTION]) as channel:
        yield PredictionServiceStub(channel)


async def counted_soon(server: RunningServer, expected: float, *which: str) -> float:
    return await asyncio.to_thread(settled, SECONDS, expected, lambda: counted(server, *which))


async def test_a_stream_cancelled_during_its_responses_is_counted_promptly(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    before = counted(running_server, STREAM_PREDICT, CANCELLED)
    finished = counted(running_server, STREAM_PREDICT)

    async def without_end() -> AsyncIterator[StreamPredictRequest]:
        number = 0
        while True:
            yield asked(number)
            number += 1
            await asyncio.sleep(0)

    async def first_answer_and_away() -> None:
        call = predictions.StreamPredict(without_end())
        assert await call.read() is not grpc.aio.EOF
        call.cancel()

    for _ in range(MANY // AT_ONCE):
        await asyncio.gather(*(first_answer_and_away() for _ in range(AT_ONCE)))
    assert await counted_soon(running_server, before + MANY, STREAM_PREDICT, CANCELLED) == before + MANY
    assert counted(running_server, STREAM_PREDICT) == finished + MANY


async def test_a_stream_cancelled_while_idle_is_counted_promptly(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    before, finished = counted(running_server, STREAM_PREDICT, CANCELLED), counted(running_server, STREAM_PREDICT)
    calls = [predictions.StreamPredict() for _ in range(50)]
    for number, call in enumerate(calls):
        await call.write(asked(number))
        assert await call.read() is not grpc.aio.EOF
    for call in calls:
        call.cancel()
    assert await counted_soon(running_server, finished + 50, STREAM_PREDICT) == finished + 50
    cancelled = counted(running_server, STREAM_PREDICT, CANCELLED) - before
    assert cancelled >= 45  # to the server, a cancel looks like the end of the requests, until it is told of the cancel


async def test_a_stalled_stream_that_disconnects_is_counted_promptly(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    before, failed = (counted(running_server, STREAM_PREDICT, code) for code in (CANCELLED, "INTERNAL"))
    calls = [predictions.StreamPredict() for _ in range(STALLED)]

    async def stuff_until_it_stalls(call: Stream) -> None:
        for number in range(MORE_THAN_THE_WINDOWS_HOLD):
            await asyncio.wait_for(call.write(asked(number)), 0.3)

    for call in calls:
        with pytest.raises(TimeoutError):
            await stuff_until_it_stalls(call)
        call.cancel()
    assert await counted_soon(running_server, before + STALLED, STREAM_PREDICT, CANCELLED) == before + STALLED
    assert counted(running_server, STREAM_PREDICT, "INTERNAL") == failed


async def test_a_broken_connection_ends_its_streams(running_server: RunningServer) -> None:
    before = counted(running_server, STREAM_PREDICT, CANCELLED)
    with wired(running_server.target) as wire:
        for number in range(10):
            stream = wire.open(STREAM_PREDICT)
            wire.http.send_data(stream, framed(asked(number).SerializeToString()))
        wire.flush()
        answered: set[int] = set()
        for event in wire.events(SECONDS):
            answered |= {event.stream_id} if isinstance(event, DataReceived) else set()
            if len(answered) == 10:
                break
    assert await counted_soon(running_server, before + 10, STREAM_PREDICT, CANCELLED) == before + 10


async def test_every_cancelled_unary_call_is_counted_once(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    rows = 1000  # of which the queue has room for more than are asked
    columns = BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
    before = counted(running_server, BATCH_PREDICT)
    calls = [predictions.BatchPredict(BatchPredictRequest(model=SPEC, batted_balls=columns)) for _ in range(50)]
    assert (await calls[0]).outcomes  # so all of them have reached the server, or soon will
    for call in calls[1:]:
        call.cancel()
    ended = [await call.code() for call in calls]
    assert ended.count(grpc.StatusCode.OK) + ended.count(grpc.StatusCode.CANCELLED) == 50
    await predictions.BatchPredict(BatchPredictRequest(model=SPEC, batted_balls=columns))
    assert await asyncio.to_thread(
        within, SECONDS, lambda: counted(running_server, BATCH_PREDICT) >= before + ended.count(grpc.StatusCode.OK) + 1
    )
    assert counted(running_server, BATCH_PREDICT) <= before + 51
