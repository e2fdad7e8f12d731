"""How connections end: of age, or with the server, and no call is lost by it."""

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
from prometheus_client import CollectorRegistry

from ondeck.v1.prediction_service_pb2 import DESCRIPTOR as PREDICTION_SERVICE
from ondeck.v1.prediction_service_pb2 import PredictResponse, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import Client
from ondeck_server.rpc.context import CallContext
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.factory import carrier_of
from tests.conformance.http2_client import wired
from tests.conformance.stock_client import BALL, INSTANCE, SECONDS, alone, answers, asked, within
from tests.fixtures.server import RunningServer, serving

AGE = 1
NO_ERROR = 0
REFUSED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}  # the second: it came while grpcio was stopping
EXIT_SECONDS = 30
WORK_SECONDS = 2


@pytest.fixture(scope="module")
def short_lived(small_repository: Path, transport: str) -> Iterator[RunningServer]:
    """A server whose connections grow a second old, and whose calls may finish then."""
    with serving(small_repository, transport=transport, max_connection_age_seconds=AGE) as server:
        yield server


def test_a_connection_gets_goaway_at_its_maximum_age(short_lived: RunningServer) -> None:
    with wired(short_lived.target) as wire:
        told = [each.error_code for each in wire.events(4 * AGE) if isinstance(each, ConnectionTerminated)]
        assert told[0] == NO_ERROR


def test_a_stream_outlives_the_age_of_its_connection(short_lived: RunningServer) -> None:
    old = threading.Event()

    def two() -> Iterator[StreamPredictRequest]:
        yield asked(1)
        old.wait(3 * AGE)
        yield asked(2)

    with alone(short_lived.target) as channel:
        call = PredictionServiceStub(channel).StreamPredict(two(), timeout=SECONDS)
        assert [each.id for answer in call for each in answer.answers] == ["1", "2"]
        assert call.code() is grpc.StatusCode.OK


async def test_no_call_is_lost_while_connections_come_and_go(short_lived: RunningServer) -> None:
    async def ask(predictions: PredictionServiceStub, until: float) -> int:
        count = 0
        while asyncio.get_running_loop().time() < until:
            found: object = await predictions.Predict(BALL, timeout=SECONDS)  # type: ignore[misc]  # of an async stub
            assert isinstance(found, PredictResponse)
            count += 1
            await asyncio.sleep(0.01)
        return count

    until = asyncio.get_running_loop().time() + 4 * AGE
    async with grpc.aio.insecure_channel(short_lived.target) as channel:
        counts = await asyncio.gather(*(ask(PredictionServiceStub(channel), until) for _ in range(4)))
    assert min(counts) > 1


def test_calls_are_cut_after_the_grace_period_of_an_aged_connection(small_repository: Path, transport: str) -> None:
    with (
        serving(
            small_repository, transport=transport, max_connection_age_seconds=AGE, max_connection_age_grace_seconds=AGE
        ) as server,
        alone(server.target) as channel,
    ):
        gone = threading.Event()

        def one_and_no_end() -> Iterator[StreamPredictRequest]:
            yield asked(1)
            gone.wait(SECONDS)

        call = PredictionServiceStub(channel).StreamPredict(one_and_no_end())
        assert next(call).answers
        with pytest.raises(grpc.RpcError) as cut:
            next(call)
        gone.set()
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        assert answers(channel)


def test_a_server_on_sigterm_finishes_open_calls_and_accepts_no_more(small_repository: Path, transport: str) -> None:
    go_on = threading.Event()

    def two() -> Iterator[StreamPredictRequest]:
        yield asked(1)
        go_on.wait(SECONDS)
        yield asked(2)

    with (
        serving(small_repository, transport=transport, drain_seconds=EXIT_SECONDS) as server,
        alone(server.target) as channel,
    ):
        call = PredictionServiceStub(channel).StreamPredict(two(), timeout=EXIT_SECONDS)
        found = [each.id for each in next(call).answers]
        server.process.send_signal(signal.SIGTERM)
        assert within(SECONDS, lambda: not takes_calls(server))
        go_on.set()
        found += [each.id for answer in call for each in answer.answers]
        assert (found, call.code()) == (["1", "2"], grpc.StatusCode.OK)
        assert server.process.wait(EXIT_SECONDS) == 0


def takes_calls(server: RunningServer) -> bool:
    with alone(server.target) as channel:
        try:
            return answers(channel)
        except grpc.RpcError as refused:
            assert refused.code() in REFUSED  # noqa: PT017  any other code would be a lie
            return False


def test_the_project_client_survives_aged_connections(short_lived: RunningServer) -> None:
    with Client(short_lived.target) as ondeck:
        assert not within(3 * AGE, lambda: not ondeck.predict("batted_ball", INSTANCE).outcomes)


class Slow:
    """Handlers of every rpc of a service; each takes its time."""

    def __getattr__(self, _: str) -> object:
        async def work(_: CallContext, __: Message) -> Message:
            await asyncio.sleep(WORK_SECONDS)
            return PredictResponse()

        return work


async def test_a_call_that_arrives_during_shutdown_gets_the_drain_time(
    transport: Literal["grpcio", "nghttp2"],
) -> None:
    service = PREDICTION_SERVICE.services_by_name["PredictionService"]
    carrier = carrier_of([(service, Slow())], ServerSettings(transport=transport), CollectorRegistry())
    connected, stopping = threading.Event(), threading.Event()

    def ask(target: str) -> PredictResponse:
        with alone(target) as channel:
            grpc.channel_ready_future(channel).result(SECONDS)
            connected.set()
            stopping.wait(SECONDS)
            return PredictionServiceStub(channel).Predict(BALL, timeout=SECONDS)

    asking = asyncio.create_task(asyncio.to_thread(ask, f"127.0.0.1:{await carrier.listen(0)}"))
    await asyncio.to_thread(connected.wait, SECONDS)
    stopping.set()
    time.sleep(0.5)  # noqa: ASYNC251  so that the call has come, and nothing has read it yet
    await carrier.stop(SECONDS)
    assert await asking == PredictResponse()
