"""What one caller may take: sizes of messages, calls of a connection, pings."""

import threading
import time
from collections.abc import Iterator

import grpc
import pytest
from h2.events import DataReceived, PingReceived, RemoteSettingsChanged, StreamReset
from h2.settings import SettingCodes

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import framed, wired
from tests.conformance.stock_client import (
    BALL,
    BATCH_PREDICT,
    SECONDS,
    SPEC,
    STREAM_PREDICT,
    alone,
    answers,
    asked,
    serves,
)
from tests.fixtures.server import RunningServer

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
PROTOCOL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 1, 7, 11
MEBIBYTE = 1 << 20
PART = 1 << 16  # bytes; what is on the way at a time
MOST = 4  # calls of one connection, as the server was told


def batch(rows: int) -> BatchPredictRequest:
    return BatchPredictRequest(
        model=SPEC, batted_balls=BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
    )


def test_a_too_large_message_is_refused_and_the_connection_stays(strict_server: RunningServer) -> None:
    with alone(strict_server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).BatchPredict(batch(MEBIBYTE // 8), timeout=SECONDS)
        assert failed.value.code() is EXHAUSTED
        assert answers(channel)


def test_a_request_with_a_too_large_response_is_refused_with_a_reason(strict_server: RunningServer) -> None:
    with alone(strict_server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).BatchPredict(batch(80_000), timeout=SECONDS)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert answers(channel)


def test_the_receive_limit_of_a_client_concerns_only_its_call(strict_server: RunningServer) -> None:
    with alone(strict_server.target, ("grpc.max_receive_message_length", 1000)) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).BatchPredict(batch(1000), timeout=SECONDS)
        assert failed.value.code() is EXHAUSTED
        assert answers(channel)


def test_an_empty_message_is_a_message(strict_server: RunningServer) -> None:
    with alone(strict_server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).Predict(PredictRequest(), timeout=SECONDS)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_beyond_the_concurrent_stream_limit_waits_in_the_client(strict_server: RunningServer) -> None:
    let_go = threading.Event()

    def one_and_wait() -> Iterator[StreamPredictRequest]:
        yield asked(1)
        let_go.wait(2 * SECONDS)

    with alone(strict_server.target) as channel:
        predictions = PredictionServiceStub(channel)
        held = [predictions.StreamPredict(one_and_wait()) for _ in range(MOST)]
        assert all(next(call).answers for call in held)
        with pytest.raises(grpc.RpcError) as failed:
            predictions.Predict(BALL, timeout=1)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        held[0].cancel()
        assert answers(channel)
        let_go.set()


def test_a_client_that_exceeds_the_stream_limit_gets_refused_stream(strict_server: RunningServer) -> None:
    with wired(strict_server.target) as wire:
        told = next(each for each in wire.events(SECONDS) if isinstance(each, RemoteSettingsChanged))
        assert told.changed_settings[SettingCodes.MAX_CONCURRENT_STREAMS].new_value == MOST
        wire.http.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
        wire.http.remote_settings.acknowledge()
        held = [wire.open(STREAM_PREDICT) for _ in range(MOST)]
        refused = wire.answer(wire.open(STREAM_PREDICT))
        assert refused.reset == REFUSED_STREAM or wire.goaway == PROTOCOL_ERROR  # the client was told, and broke it
        for stream in held if wire.goaway is None else ():
            wire.http.end_stream(stream)
            wire.flush()
            assert wire.answer(stream).status == 0
    assert serves(strict_server.target)


def test_a_finished_call_resets_a_client_that_keeps_sending(strict_server: RunningServer) -> None:
    with wired(strict_server.target) as wire:
        stream = wire.open("/ondeck.v1.Nobody/Listens")
        events = [each for each in wire.events(1) if getattr(each, "stream_id", None) == stream]
        assert any(isinstance(each, StreamReset) for each in events)
        assert wire.ask(framed(BALL.SerializeToString())).status == 0


def test_a_client_that_pings_too_often_gets_goaway(strict_server: RunningServer) -> None:
    with wired(strict_server.target) as wire:
        for _ in range(10):
            wire.http.ping(b"are you?")
        wire.flush()
        list(wire.events(SECONDS))
        assert (wire.goaway, wire.ended) == (ENHANCE_YOUR_CALM, True)


def test_a_client_that_pings_at_the_permitted_rate_stays(running_server: RunningServer) -> None:
    with wired(running_server.target) as wire:
        for _ in range(2):
            wire.http.ping(b"are you?")
            wire.flush()
            list(wire.events(0.2))
        assert wire.goaway is None
        assert wire.ask(framed(BALL.SerializeToString())).status == 0


def test_data_frames_reset_the_ping_strikes(strict_server: RunningServer) -> None:
    with wired(strict_server.target) as wire:
        stream = wire.open(BATCH_PREDICT)
        wire.say(stream, framed(batch(20_000).SerializeToString()), end=True)
        received = pings = 0
        for event in wire.events(SECONDS):
            received += len(event.data) if isinstance(event, DataReceived) else 0
            if received > (pings + 1) * PART:
                wire.http.ping(b"how far?")
                wire.flush()
                pings += 1
            if getattr(event, "stream_ended", None) is not None:
                break
        assert pings > 5
        assert wire.goaway is None
        assert wire.ask(framed(BALL.SerializeToString())).status == 0


def test_the_server_pings_a_silent_connection_and_keeps_it_while_acknowledged(strict_server: RunningServer) -> None:
    begin = time.monotonic()
    with wired(strict_server.target) as wire:
        pings = (each for each in wire.events(SECONDS) if isinstance(each, PingReceived))
        assert [next(pings) for _ in range(3)]
        assert time.monotonic() - begin > 1.5
        assert wire.ask(framed(BALL.SerializeToString())).status == 0


def test_a_connection_without_ping_acknowledgements_is_closed(strict_server: RunningServer) -> None:
    with wired(strict_server.target) as wire:
        assert wire.ask(framed(BALL.SerializeToString())).status == 0
        wire.socket.settimeout(SECONDS)
        while wire.socket.recv(65536):  # and never acknowledges a ping
            pass
