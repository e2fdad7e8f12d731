"""Streams: half-close, flow control, and thousands open at a time."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from ondeck.v1.prediction_service_pb2 import StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.server_measurements import rss_mib
from tests.conformance.stock_client import (
    OWN_CONNECTION,
    SECONDS,
    SPEC,
    can_predict,
    open_channel,
    stream_request,
    wait_until,
)
from tests.fixtures.server import RunningServer

SMALL_WINDOW = ("grpc.http2.bdp_probe", 0)  # otherwise the client keeps enlarging its window
CONNECTIONS, STREAMS_OF_EACH = 20, 100


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_half_closed_stream_gets_every_response_and_then_the_status(channel: grpc.Channel, count: int) -> None:
    call = PredictionServiceStub(channel).StreamPredict(map(stream_request, range(count)), timeout=SECONDS)
    assert [each.id for answer in call for each in answer.answers] == [str(number) for number in range(count)]
    assert call.code() is grpc.StatusCode.OK


def test_a_response_arrives_before_the_next_request(channel: grpc.Channel) -> None:
    answered = threading.Semaphore(1)

    def one_by_one() -> Iterator[StreamPredictRequest]:
        for number in range(20):
            assert answered.acquire(timeout=SECONDS)
            yield stream_request(number)

    found = []
    for answer in PredictionServiceStub(channel).StreamPredict(one_by_one(), timeout=SECONDS):
        found += [each.id for each in answer.answers]
        answered.release()
    assert found == [str(number) for number in range(20)]


def test_an_invalid_instance_leaves_the_stream_open(channel: grpc.Channel) -> None:
    requests = [stream_request(0), StreamPredictRequest(id="1", model=SPEC), stream_request(2)]
    call = PredictionServiceStub(channel).StreamPredict(iter(requests), timeout=SECONDS)
    found = [(each.id, each.HasField("error")) for answer in call for each in answer.answers]
    assert found == [("0", False), ("1", True), ("2", False)]
    assert call.code() is grpc.StatusCode.OK


def test_a_client_that_does_not_read_gets_backpressure(running_server: RunningServer) -> None:
    before = rss_mib(running_server)
    readers, most = 3, 60_000
    sent = [0] * readers

    def requests(reader: int) -> Iterator[StreamPredictRequest]:
        for number in range(most):
            sent[reader] = number
            yield stream_request(number)

    def is_stalled() -> bool:
        seen = list(sent)
        time.sleep(1)
        return seen == sent

    with open_channel(running_server.target, SMALL_WINDOW) as stalled, open_channel(running_server.target) as other:
        calls = [PredictionServiceStub(stalled).StreamPredict(requests(reader)) for reader in range(readers)]
        assert wait_until(3 * SECONDS, is_stalled)
        assert max(sent) < most / 2
        assert rss_mib(running_server) - before < 64
        assert can_predict(other)
        found = (each.id for answer in calls[0] for each in answer.answers)
        assert list(itertools.islice(found, 1000)) == [str(number) for number in range(1000)]
        for call in calls:
            call.cancel()


async def test_two_thousand_open_streams_are_each_answered(running_server: RunningServer) -> None:
    channels = [grpc.aio.insecure_channel(running_server.target, [OWN_CONNECTION]) for _ in range(CONNECTIONS)]
    try:
        calls = [
            PredictionServiceStub(channel).StreamPredict(timeout=4 * SECONDS)
            for channel in channels
            for _ in range(STREAMS_OF_EACH)
        ]
        for turn in ("first", "second"):  # in the second, all streams are open
            await asyncio.gather(*(call.write(stream_request(number)) for number, call in enumerate(calls)))
            found = await asyncio.gather(*(call.read() for call in calls))
            ids = [each.id for answer in found for each in getattr(answer, "answers", ())]
            assert (turn, ids) == (turn, [str(number) for number in range(len(calls))])
        await asyncio.gather(*(call.done_writing() for call in calls))
        assert {await call.code() for call in calls} == {grpc.StatusCode.OK}
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
