"""Connections end by age or at shutdown, and no call is lost."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import grpc
import pytest
from google.protobuf.message import Message
from h2.events import ConnectionTerminated

from ondeck.v1.prediction_service_pb2 import DESCRIPTOR as PREDICTION_SERVICE
from ondeck.v1.prediction_service_pb2 import PredictResponse, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import Client
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.composition import create_transport
from ondeck_server.rpc.context import CallContext
from ondeck_server.settings import ServerSettings
from tests.conformance.http2_client import open_http2
from tests.conformance.stock_client import (
    BALL,
    INSTANCE,
    SECONDS,
    can_predict,
    open_channel,
    stream_request,
    wait_until,
)
from tests.fixtures.server import RunningServer, serving

AGE = 1
NO_ERROR = 0
REFUSED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}  # the second: it arrived while grpcio was stopping
EXIT_SECONDS = 30
WORK_SECONDS = 2


@pytest.fixture(scope="module")
def short_lived_server(small_repository: Path, transport: str) -> Iterator[RunningServer]:
    """Run a server whose connections live one second; open calls may finish."""
    with serving(small_repository, transport=transport, max_connection_age_seconds=AGE) as server:
        yield server


def test_a_connection_gets_goaway_at_its_maximum_age(short_lived_server: RunningServer) -> None:
    with open_http2(short_lived_server.target) as http2:
        codes = [each.error_code for each in http2.events(4 * AGE) if isinstance(each, ConnectionTerminated)]
        assert codes[0] == NO_ERROR


def test_a_stream_outlives_the_age_of_its_connection(short_lived_server: RunningServer) -> None:
    after_age = threading.Event()

    def two_requests() -> Iterator[StreamPredictRequest]:
        yield stream_request(1)
        after_age.wait(3 * AGE)
        yield stream_request(2)

    with open_channel(short_lived_server.target) as channel:
        call = PredictionServiceStub(channel).StreamPredict(two_requests(), timeout=SECONDS)
        assert [each.id for answer in call for each in answer.answers] == ["1", "2"]
        assert call.code() is grpc.StatusCode.OK


async def test_no_call_is_lost_while_connections_are_replaced(short_lived_server: RunningServer) -> None:
    async def predict_repeatedly(predictions: PredictionServiceStub, until: float) -> int:
        count = 0
        while asyncio.get_running_loop().time() < until:
            found: object = await predictions.Predict(BALL, timeout=SECONDS)  # type: ignore[misc]  # of an async stub
            assert isinstance(found, PredictResponse)
            count += 1
            await asyncio.sleep(0.01)
        return count

    until = asyncio.get_running_loop().time() + 4 * AGE
    async with grpc.aio.insecure_channel(short_lived_server.target) as channel:
        counts = await asyncio.gather(*(predict_repeatedly(PredictionServiceStub(channel), until) for _ in range(4)))
    assert min(counts) > 1


def test_calls_are_cut_after_the_grace_period_of_an_aged_connection(small_repository: Path, transport: str) -> None:
    with (
        serving(
            small_repository, transport=transport, max_connection_age_seconds=AGE, max_connection_age_grace_seconds=AGE
        ) as server,
        open_channel(server.target) as channel,
    ):
        release = threading.Event()

        def one_request_then_wait() -> Iterator[StreamPredictRequest]:
            yield stream_request(1)
            release.wait(SECONDS)

        call = PredictionServiceStub(channel).StreamPredict(one_request_then_wait())
        assert next(call).answers
        with pytest.raises(grpc.RpcError) as cut:
            next(call)
        release.set()
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        assert can_predict(channel)


def test_a_server_on_sigterm_finishes_open_calls_and_accepts_no_more(small_repository: Path, transport: str) -> None:
    release = threading.Event()

    def two_requests() -> Iterator[StreamPredictRequest]:
        yield stream_request(1)
        release.wait(SECONDS)
        yield stream_request(2)

    with (
        serving(small_repository, transport=transport, drain_seconds=EXIT_SECONDS) as server,
        open_channel(server.target) as channel,
    ):
        call = PredictionServiceStub(channel).StreamPredict(two_requests(), timeout=EXIT_SECONDS)
        found = [each.id for each in next(call).answers]
        server.process.send_signal(signal.SIGTERM)
        assert wait_until(SECONDS, lambda: not accepts_calls(server))
        release.set()
        found += [each.id for answer in call for each in answer.answers]
        assert (found, call.code()) == (["1", "2"], grpc.StatusCode.OK)
        assert server.process.wait(EXIT_SECONDS) == 0


def accepts_calls(server: RunningServer) -> bool:
    with open_channel(server.target) as channel:
        try:
            return can_predict(channel)
        except grpc.RpcError as refused:
            assert refused.code() in REFUSED  # noqa: PT017  any other code would be wrong
            return False


def test_the_project_client_survives_aged_connections(short_lived_server: RunningServer) -> None:
    with Client(short_lived_server.target) as ondeck:
        assert not wait_until(3 * AGE, lambda: not ondeck.predict("batted_ball", INSTANCE).outcomes)


class SlowService:
    """Handlers of every rpc of a service that sleep before they return."""

    def __getattr__(self, _: str) -> object:
        async def handle(_: CallContext, __: Message) -> Message:
            await asyncio.sleep(WORK_SECONDS)
            return PredictResponse()

        return handle


async def test_a_call_that_arrives_during_shutdown_gets_the_drain_time(
    transport: Literal["grpcio", "nghttp2"],
) -> None:
    service = PREDICTION_SERVICE.services_by_name["PredictionService"]
    server = create_transport([(service, SlowService())], ServerSettings(transport=transport), MetricsBlock())
    connected, stopping = threading.Event(), threading.Event()

    def predict_once(target: str) -> PredictResponse:
        with open_channel(target) as channel:
            grpc.channel_ready_future(channel).result(SECONDS)
            connected.set()
            stopping.wait(SECONDS)
            return PredictionServiceStub(channel).Predict(BALL, timeout=SECONDS)

    call = asyncio.create_task(asyncio.to_thread(predict_once, f"127.0.0.1:{await server.listen(0)}"))
    await asyncio.to_thread(connected.wait, SECONDS)
    stopping.set()
    time.sleep(0.5)  # noqa: ASYNC251  the call has arrived and is unread
    await server.stop(SECONDS)
    assert await call == PredictResponse()
