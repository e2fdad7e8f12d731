"""A call ends at its deadline, in any state."""

import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import frame_message, open_http2
from tests.conformance.server_measurements import count_handled
from tests.conformance.stock_client import (
    BALL,
    BATCH_PREDICT,
    PREDICT,
    SECONDS,
    SPEC,
    STREAM_PREDICT,
    can_predict,
    stream_request,
    wait_until,
)
from tests.fixtures.server import RunningServer

EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
ROWS = 20_000


def columns(rows: int) -> BatchPredictRequest:
    return BatchPredictRequest(
        model=SPEC, batted_balls=BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
    )


@pytest.mark.parametrize("timeout", ["1n", "1u", "0m"])
def test_a_call_whose_deadline_has_passed_at_start_gets_deadline_exceeded(
    running_server: RunningServer, timeout: str
) -> None:
    with open_http2(running_server.target) as http2:
        request = frame_message(columns(5000).SerializeToString())  # grpcio rounds up to 1 ms: more work than that
        answer = http2.call(request, BATCH_PREDICT, ("grpc-timeout", timeout))
        assert answer.status == EXCEEDED.value[0] or answer.reset is not None
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def test_a_call_whose_deadline_passes_while_it_runs_ends_then(channel: grpc.Channel) -> None:
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as failed:
        PredictionServiceStub(channel).BatchPredict(columns(ROWS), timeout=0.02)
    assert failed.value.code() is EXCEEDED
    assert time.monotonic() - started < SECONDS
    assert can_predict(channel)


def test_a_stream_ends_at_its_deadline_on_both_sides(running_server: RunningServer, channel: grpc.Channel) -> None:
    before = count_handled(running_server, STREAM_PREDICT)
    closed = threading.Event()

    def one_request_then_wait() -> Iterator[StreamPredictRequest]:
        yield stream_request(1)
        closed.wait(SECONDS)

    call = PredictionServiceStub(channel).StreamPredict(one_request_then_wait(), timeout=2)
    with pytest.raises(grpc.RpcError) as failed:
        assert [each.id for answer in call for each in answer.answers] == ["1"]
    closed.set()
    assert failed.value.code() is EXCEEDED
    assert wait_until(SECONDS, lambda: count_handled(running_server, STREAM_PREDICT) == before + 1)


def test_a_call_without_a_deadline_is_answered(channel: grpc.Channel) -> None:
    assert PredictionServiceStub(channel).Predict(BALL).prediction.outcomes


def test_an_invalid_timeout_header_does_no_harm(running_server: RunningServer) -> None:
    with open_http2(running_server.target) as http2:
        http2.call(frame_message(BALL.SerializeToString()), PREDICT, ("grpc-timeout", "soon"))
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0
