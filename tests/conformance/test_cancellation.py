"""A cancelled call is released at once; the metrics do not wait for the garbage collector."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
from h2.events import DataReceived

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import frame_message, open_http2
from tests.conformance.server_measurements import count_handled
from tests.conformance.stock_client import (
    BATCH_PREDICT,
    OWN_CONNECTION,
    SECONDS,
    SMALL_WINDOW,
    SPEC,
    STREAM_PREDICT,
    stalled,
    stream_request,
    wait_until,
    wait_value,
)
from tests.fixtures.server import RunningServer

if TYPE_CHECKING:
    from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceAsyncStub

CANCELLED = "CANCELLED"
MANY = 200
AT_ONCE = 20
STALLED = 3


@pytest.fixture
async def predictions(running_server: RunningServer) -> AsyncIterator["PredictionServiceAsyncStub"]:
    async with grpc.aio.insecure_channel(running_server.target, [OWN_CONNECTION, SMALL_WINDOW]) as channel:
        yield PredictionServiceStub(channel)


async def wait_handled(server: RunningServer, expected: float, *which: str) -> float:
    return await asyncio.to_thread(wait_value, SECONDS, expected, lambda: count_handled(server, *which))


async def test_a_stream_cancelled_during_its_responses_is_counted_promptly(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    before = count_handled(running_server, STREAM_PREDICT, CANCELLED)
    finished = count_handled(running_server, STREAM_PREDICT)

    async def endless_requests() -> AsyncIterator[StreamPredictRequest]:
        number = 0
        while True:
            yield stream_request(number)
            number += 1
            await asyncio.sleep(0)

    async def cancel_after_first_response() -> None:
        call = predictions.StreamPredict(endless_requests())
        assert await call.read() is not grpc.aio.EOF
        call.cancel()

    for _ in range(MANY // AT_ONCE):
        await asyncio.gather(*(cancel_after_first_response() for _ in range(AT_ONCE)))
    assert await wait_handled(running_server, before + MANY, STREAM_PREDICT, CANCELLED) == before + MANY
    assert count_handled(running_server, STREAM_PREDICT) == finished + MANY


async def test_a_stream_cancelled_while_idle_is_counted_promptly(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    before, finished = (
        count_handled(running_server, STREAM_PREDICT, CANCELLED),
        count_handled(running_server, STREAM_PREDICT),
    )
    calls = [predictions.StreamPredict() for _ in range(50)]
    for number, call in enumerate(calls):
        await call.write(stream_request(number))
        assert await call.read() is not grpc.aio.EOF
    for call in calls:
        call.cancel()
    assert await wait_handled(running_server, finished + 50, STREAM_PREDICT) == finished + 50
    cancelled = count_handled(running_server, STREAM_PREDICT, CANCELLED) - before
    assert cancelled >= 45  # the server may see the end of the requests before RST_STREAM


async def test_a_stalled_stream_that_disconnects_is_counted_promptly(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    before, failed = (count_handled(running_server, STREAM_PREDICT, code) for code in (CANCELLED, "INTERNAL"))
    for _ in range(STALLED):
        async with stalled(predictions.StreamPredict()):
            pass
    assert await wait_handled(running_server, before + STALLED, STREAM_PREDICT, CANCELLED) == before + STALLED
    assert count_handled(running_server, STREAM_PREDICT, "INTERNAL") == failed


async def test_a_broken_connection_ends_its_streams(running_server: RunningServer) -> None:
    before = count_handled(running_server, STREAM_PREDICT, CANCELLED)
    with open_http2(running_server.target) as http2:
        for number in range(10):
            stream = http2.start_call(STREAM_PREDICT)
            http2.http.send_data(stream, frame_message(stream_request(number).SerializeToString()))
        http2.flush()
        answered: set[int] = set()
        for event in http2.events(SECONDS):
            answered |= {event.stream_id} if isinstance(event, DataReceived) else set()
            if len(answered) == 10:
                break
    assert await wait_handled(running_server, before + 10, STREAM_PREDICT, CANCELLED) == before + 10


async def test_every_cancelled_unary_call_is_counted_once(
    running_server: RunningServer, predictions: "PredictionServiceAsyncStub"
) -> None:
    rows = 1000  # the queue has room for more than are sent
    columns = BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
    before = count_handled(running_server, BATCH_PREDICT)
    calls = [predictions.BatchPredict(BatchPredictRequest(model=SPEC, batted_balls=columns)) for _ in range(50)]
    assert (await calls[0]).outcomes  # so all have reached the server, or soon will
    for call in calls[1:]:
        call.cancel()
    ended = [await call.code() for call in calls]
    assert ended.count(grpc.StatusCode.OK) + ended.count(grpc.StatusCode.CANCELLED) == 50
    await predictions.BatchPredict(BatchPredictRequest(model=SPEC, batted_balls=columns))
    assert await asyncio.to_thread(
        wait_until,
        SECONDS,
        lambda: count_handled(running_server, BATCH_PREDICT) >= before + ended.count(grpc.StatusCode.OK) + 1,
    )
    assert count_handled(running_server, BATCH_PREDICT) <= before + 51
