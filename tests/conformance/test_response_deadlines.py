"""A response that the caller does not read ends at the deadline of its call and is counted by what it became."""

import time

import pytest
from h2.settings import SettingCodes

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest
from tests.conformance.http2_client import Http2Client, frame_message, open_http2
from tests.conformance.server_measurements import count_handled
from tests.conformance.stock_client import (
    BALL,
    BATCH_PREDICT,
    SECONDS,
    SPEC,
    STREAM_PREDICT,
    stream_request,
    wait_until,
)
from tests.fixtures.server import RunningServer

CANCEL = 8
LARGE = frame_message(
    BatchPredictRequest(
        model=SPEC, batted_balls=BattedBallColumns(launch_speed=[100.0] * 20_000, launch_angle=[20.0] * 20_000)
    ).SerializeToString()
)


@pytest.fixture(autouse=True)
def _require_own_transport(transport: str) -> None:
    if transport == "grpcio":
        pytest.skip("grpcio ends such a call itself and counts it when its handler ends")


def read_nothing(http2: Http2Client) -> None:
    """Grant the server no window for responses."""
    http2.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    http2.flush()
    list(http2.events(0.3))


def count(server: RunningServer, method: str, code: str) -> float:
    return count_handled(server, method, code)


def test_a_queued_response_is_dropped_at_its_deadline(running_server: RunningServer) -> None:
    handled = count(running_server, BATCH_PREDICT, "OK"), count(running_server, BATCH_PREDICT, "DEADLINE_EXCEEDED")
    with open_http2(running_server.target) as http2:
        read_nothing(http2)
        stream = http2.start_call(BATCH_PREDICT, ("grpc-timeout", "2S"))
        started = time.monotonic()
        http2.send(stream, LARGE, end=True)
        assert http2.read_response(stream).reset == CANCEL
        assert 1.5 < time.monotonic() - started < 5
        assert count(running_server, BATCH_PREDICT, "OK") == handled[0]
        assert count(running_server, BATCH_PREDICT, "DEADLINE_EXCEEDED") == handled[1] + 1


def test_a_queued_stream_is_dropped_at_its_deadline(running_server: RunningServer) -> None:
    before = count(running_server, STREAM_PREDICT, "DEADLINE_EXCEEDED")
    with open_http2(running_server.target) as http2:
        read_nothing(http2)
        stream = http2.start_call(STREAM_PREDICT, ("grpc-timeout", "2S"))
        http2.send(stream, frame_message(stream_request(1).SerializeToString()))
        assert http2.read_response(stream).reset == CANCEL
        assert count(running_server, STREAM_PREDICT, "DEADLINE_EXCEEDED") == before + 1


@pytest.mark.parametrize("ending", ["reset", "disconnect"])
def test_a_queued_response_that_the_caller_gives_up_counts_as_cancelled(
    running_server: RunningServer, ending: str
) -> None:
    before = count(running_server, BATCH_PREDICT, "CANCELLED")
    with open_http2(running_server.target) as http2:
        read_nothing(http2)
        stream = http2.start_call(BATCH_PREDICT)
        http2.send(stream, LARGE, end=True)
        assert http2.read_response(stream, 1).status is None
        if ending == "reset":
            http2.http.reset_stream(stream, CANCEL)
            http2.flush()
    assert wait_until(SECONDS, lambda: count(running_server, BATCH_PREDICT, "CANCELLED") == before + 1)


def test_a_response_that_the_caller_reads_in_time_is_complete(running_server: RunningServer) -> None:
    before = count(running_server, BATCH_PREDICT, "OK")
    with open_http2(running_server.target) as http2:
        assert http2.call(LARGE, BATCH_PREDICT, ("grpc-timeout", "20S")).status == 0
        assert count(running_server, BATCH_PREDICT, "OK") == before + 1
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0
