"""Limits of one client: message size, concurrent streams, pings."""

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
from tests.conformance.http2_client import frame_message, open_http2
from tests.conformance.stock_client import (
    BALL,
    BATCH_PREDICT,
    SECONDS,
    SPEC,
    STREAM_PREDICT,
    can_predict,
    is_serving,
    open_channel,
    stream_request,
)
from tests.fixtures.server import RunningServer

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
PROTOCOL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 1, 7, 11
MEBIBYTE = 1 << 20
PART = 1 << 16  # bytes between two pings
MAX_CONCURRENT_STREAMS = 4  # per connection, as configured in strict_server


def batch(rows: int) -> BatchPredictRequest:
    return BatchPredictRequest(
        model=SPEC, batted_balls=BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
    )


def test_a_too_large_message_is_refused_and_the_connection_stays(strict_server: RunningServer) -> None:
    with open_channel(strict_server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).BatchPredict(batch(MEBIBYTE // 8), timeout=SECONDS)
        assert failed.value.code() is EXHAUSTED
        assert can_predict(channel)


def test_a_request_with_a_too_large_response_is_refused_with_a_reason(strict_server: RunningServer) -> None:
    with open_channel(strict_server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).BatchPredict(batch(80_000), timeout=SECONDS)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert can_predict(channel)


def test_the_receive_limit_of_a_client_concerns_only_its_call(strict_server: RunningServer) -> None:
    with open_channel(strict_server.target, ("grpc.max_receive_message_length", 1000)) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).BatchPredict(batch(1000), timeout=SECONDS)
        assert failed.value.code() is EXHAUSTED
        assert can_predict(channel)


def test_an_empty_message_is_a_message(strict_server: RunningServer) -> None:
    with open_channel(strict_server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            PredictionServiceStub(channel).Predict(PredictRequest(), timeout=SECONDS)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_beyond_the_concurrent_stream_limit_waits_in_the_client(strict_server: RunningServer) -> None:
    release = threading.Event()

    def one_request_then_wait() -> Iterator[StreamPredictRequest]:
        yield stream_request(1)
        release.wait(2 * SECONDS)

    with open_channel(strict_server.target) as channel:
        predictions = PredictionServiceStub(channel)
        open_calls = [predictions.StreamPredict(one_request_then_wait()) for _ in range(MAX_CONCURRENT_STREAMS)]
        assert all(next(call).answers for call in open_calls)
        with pytest.raises(grpc.RpcError) as failed:
            predictions.Predict(BALL, timeout=1)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        open_calls[0].cancel()
        assert can_predict(channel)
        release.set()


def test_a_client_that_exceeds_the_stream_limit_gets_refused_stream(strict_server: RunningServer) -> None:
    with open_http2(strict_server.target) as http2:
        settings = next(each for each in http2.events(SECONDS) if isinstance(each, RemoteSettingsChanged))
        assert settings.changed_settings[SettingCodes.MAX_CONCURRENT_STREAMS].new_value == MAX_CONCURRENT_STREAMS
        http2.http.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
        http2.http.remote_settings.acknowledge()
        open_calls = [http2.start_call(STREAM_PREDICT) for _ in range(MAX_CONCURRENT_STREAMS)]
        refused = http2.read_response(http2.start_call(STREAM_PREDICT))
        # The client knew the limit and exceeded it.
        assert refused.reset == REFUSED_STREAM or http2.goaway == PROTOCOL_ERROR
        for stream in open_calls if http2.goaway is None else ():
            http2.http.end_stream(stream)
            http2.flush()
            assert http2.read_response(stream).status == 0
    assert is_serving(strict_server.target)


def test_a_finished_call_resets_a_client_that_keeps_sending(strict_server: RunningServer) -> None:
    with open_http2(strict_server.target) as http2:
        stream = http2.start_call("/ondeck.v1.Unknown/Method")
        events = [each for each in http2.events(1) if getattr(each, "stream_id", None) == stream]
        assert any(isinstance(each, StreamReset) for each in events)
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def test_a_client_that_pings_too_often_gets_goaway(strict_server: RunningServer) -> None:
    with open_http2(strict_server.target) as http2:
        for _ in range(10):
            http2.http.ping(b"are you?")
        http2.flush()
        list(http2.events(SECONDS))
        assert (http2.goaway, http2.closed) == (ENHANCE_YOUR_CALM, True)


def test_a_client_that_pings_at_the_permitted_rate_stays(running_server: RunningServer) -> None:
    with open_http2(running_server.target) as http2:
        for _ in range(2):
            http2.http.ping(b"are you?")
            http2.flush()
            list(http2.events(0.2))
        assert http2.goaway is None
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def test_data_frames_reset_the_ping_strikes(strict_server: RunningServer) -> None:
    with open_http2(strict_server.target) as http2:
        stream = http2.start_call(BATCH_PREDICT)
        http2.send(stream, frame_message(batch(20_000).SerializeToString()), end=True)
        received = pings = 0
        for event in http2.events(SECONDS):
            received += len(event.data) if isinstance(event, DataReceived) else 0
            if received > (pings + 1) * PART:
                http2.http.ping(b"how far?")
                http2.flush()
                pings += 1
            if getattr(event, "stream_ended", None) is not None:
                break
        assert pings > 5
        assert http2.goaway is None
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def test_the_server_pings_a_silent_connection_and_keeps_it_while_acknowledged(strict_server: RunningServer) -> None:
    started = time.monotonic()
    with open_http2(strict_server.target) as http2:
        pings = (each for each in http2.events(SECONDS) if isinstance(each, PingReceived))
        assert [next(pings) for _ in range(3)]
        assert time.monotonic() - started > 1.5
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def test_a_connection_without_ping_acknowledgements_is_closed(strict_server: RunningServer) -> None:
    with open_http2(strict_server.target) as http2:
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0
        http2.socket.settimeout(SECONDS)
        while http2.socket.recv(65536):  # no ping is acknowledged
            pass
