"""Retries of the client with a real gRPC server that fails or answers late."""

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    BatchPredictResponse,
    ExplainRequest,
    ExplainResponse,
    OutcomeProbability,
    Prediction,
    PredictRequest,
    PredictResponse,
    StreamPredictRequest,
    StreamPredictResponse,
)
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceServicer, add_PredictionServiceServicer_to_server
from ondeck_client import (
    AsyncClient,
    BattedBall,
    Client,
    ErrorReason,
    correlation_id_of,
    reason_of,
    retry_delay_of,
    violations_of,
)
from ondeck_client.channels import CALLED

BALL = BattedBall(launch_speed=100, launch_angle=20)
ANSWER = PredictResponse(prediction=Prediction(outcomes=[OutcomeProbability(outcome="out", probability=1)]))


@dataclass(kw_only=True)
class FailingService(PredictionServiceServicer):
    """Fails the first calls with a status, then answers after some seconds."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    failures: int = 0
    seconds: float = 0
    details: bytes = b""
    pushback: str = ""
    times: list[float] = field(default_factory=list)
    times_left: list[float | None] = field(default_factory=list)

    def Predict(  # noqa: N802  the name in the proto
        self,
        request: PredictRequest,  # noqa: ARG002  the generated signature
        context: grpc.ServicerContext,
    ) -> PredictResponse:
        self.times.append(time.monotonic())
        self.times_left.append(context.time_remaining())
        time.sleep(self.seconds)
        if len(self.times_left) <= self.failures:
            trailers: dict[str, str | bytes] = {
                "grpc-status-details-bin": self.details,
                "grpc-retry-pushback-ms": self.pushback,
            }
            context.set_trailing_metadata(tuple((key, value) for key, value in trailers.items() if value))
            context.abort(self.code, "in trouble")
        return ANSWER

    def BatchPredict(  # noqa: N802  the name in the proto
        self, request: BatchPredictRequest, context: grpc.ServicerContext
    ) -> BatchPredictResponse:
        raise NotImplementedError

    def Explain(  # noqa: N802  the name in the proto
        self, request: ExplainRequest, context: grpc.ServicerContext
    ) -> ExplainResponse:
        raise NotImplementedError

    def StreamPredict(  # noqa: N802  the name in the proto
        self, request_iterator: Iterator[StreamPredictRequest], context: grpc.ServicerContext
    ) -> Iterator[StreamPredictResponse]:
        raise NotImplementedError


@contextmanager
def serve(service: FailingService, port: int = 0) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_PredictionServiceServicer_to_server(service, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        server.stop(grace=None).wait()


def code_of(error: object) -> grpc.StatusCode:
    assert isinstance(error, grpc.Call)
    code: grpc.StatusCode = error.code()
    return code


BY_HEALTH = pytest.mark.parametrize("health", [None, CALLED])  # one channel for all attempts, or several


@BY_HEALTH
def test_a_call_is_retried_while_the_server_is_unavailable(health: str | None) -> None:
    service = FailingService(failures=2)
    with serve(service) as target, Client(target, health=health) as client:
        assert client.predict("batted_ball", BALL) == ANSWER.prediction
    assert len(service.times_left) == 3


@BY_HEALTH
async def test_the_async_client_retries_as_well(health: str | None) -> None:
    service = FailingService(failures=2)
    with serve(service) as target:
        async with AsyncClient(target, health=health) as client:
            assert await client.predict("batted_ball", BALL) == ANSWER.prediction
    assert len(service.times_left) == 3


@BY_HEALTH
def test_a_call_is_attempted_at_most_four_times(health: str | None) -> None:
    service = FailingService(failures=99)
    with serve(service) as target, Client(target, health=health) as client, pytest.raises(grpc.RpcError) as failed:
        client.predict("batted_ball", BALL)
    assert code_of(failed.value) is grpc.StatusCode.UNAVAILABLE
    assert len(service.times_left) == 4


@BY_HEALTH
def test_a_retry_waits_for_the_pushback_of_the_server(health: str | None) -> None:
    service = FailingService(failures=1, pushback="700")
    with serve(service) as target, Client(target, health=health) as client:
        assert client.predict("batted_ball", BALL) == ANSWER.prediction
    first, second = service.times
    assert 0.7 <= second - first < 5


@BY_HEALTH
def test_a_negative_pushback_prevents_a_retry(health: str | None) -> None:
    service = FailingService(failures=1, pushback="-1")
    with serve(service) as target, Client(target, health=health) as client, pytest.raises(grpc.RpcError) as failed:
        client.predict("batted_ball", BALL)
    assert code_of(failed.value) is grpc.StatusCode.UNAVAILABLE
    assert retry_delay_of(failed.value) == math.inf
    assert len(service.times) == 1


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
    ],
)
def test_no_other_status_is_retried(code: grpc.StatusCode) -> None:
    service = FailingService(code=code, failures=2)
    with serve(service) as target, Client(target, health=None) as client, pytest.raises(grpc.RpcError) as failed:
        client.predict("batted_ball", BALL)
    assert code_of(failed.value) is code
    assert len(service.times_left) == 1


def test_every_call_has_a_deadline_that_it_may_override() -> None:
    service = FailingService()
    with serve(service) as target, Client(target, health=None, timeout=7) as client:
        client.predict("batted_ball", BALL)
        client.predict("batted_ball", BALL, timeout=3)
    assert [left is not None and round(left) for left in service.times_left] == [7, 3]


def test_a_late_response_is_deadline_exceeded() -> None:
    with (
        serve(FailingService(seconds=1)) as target,
        Client(target, health=None, timeout=0.1) as client,
        pytest.raises(grpc.RpcError) as late,
    ):
        client.predict("batted_ball", BALL)
    assert code_of(late.value) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_without_a_server_the_call_fails_soon_and_has_no_error_reason(free_port: int) -> None:
    with Client(f"127.0.0.1:{free_port}") as client, pytest.raises(grpc.RpcError) as failed:
        client.predict("batted_ball", BALL, correlation_id="at-bat 7")
    assert code_of(failed.value) is grpc.StatusCode.UNAVAILABLE
    assert reason_of(failed.value) == ErrorReason.ERROR_REASON_UNSPECIFIED
    assert violations_of(failed.value) == []
    assert correlation_id_of(failed.value) == "at-bat 7"


def test_a_call_with_wait_for_ready_reaches_a_server_that_starts_later(free_port: int) -> None:
    answers: list[Prediction] = []

    def ask() -> None:
        with Client(f"127.0.0.1:{free_port}", timeout=30, wait_for_ready=True) as client:
            answers.append(client.predict("batted_ball", BALL))

    asking = threading.Thread(target=ask)
    asking.start()
    with serve(FailingService(), free_port):
        asking.join(30)
    assert answers == [ANSWER.prediction]


@pytest.mark.parametrize(("pushback", "expected"), [("", 1.5), ("250", 0.25), ("-1", math.inf), ("soon", math.inf)])
def test_the_retry_delay_is_read_from_pushback_or_retry_info(pushback: str, expected: float) -> None:
    packed = Packed()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)))
    details = Status(code=8, message="in trouble", details=[packed]).SerializeToString()
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    service = FailingService(code=code, failures=1, details=details, pushback=pushback)
    with serve(service) as target, Client(target, health=None) as client, pytest.raises(grpc.RpcError) as failed:
        client.predict("batted_ball", BALL)
    assert retry_delay_of(failed.value) == expected


@pytest.mark.parametrize(
    ("domain", "reason", "expected"),
    [
        ("ondeck", "QUEUE_FULL", ErrorReason.ERROR_REASON_QUEUE_FULL),
        ("ondeck", "OF_A_LATER_RELEASE", ErrorReason.ERROR_REASON_UNSPECIFIED),
        ("proxy.example", "QUEUE_FULL", ErrorReason.ERROR_REASON_UNSPECIFIED),
    ],
)
def test_an_error_reason_counts_only_from_the_projects_domain(
    domain: str, reason: str, expected: "ErrorReason.ValueType"
) -> None:
    packed = Packed()
    packed.Pack(ErrorInfo(reason=reason, domain=domain))
    details = Status(code=8, message="in trouble", details=[packed]).SerializeToString()
    service = FailingService(code=grpc.StatusCode.RESOURCE_EXHAUSTED, failures=1, details=details)
    with serve(service) as target, Client(target, health=None) as client, pytest.raises(grpc.RpcError) as failed:
        client.predict("batted_ball", BALL)
    assert reason_of(failed.value) == expected
