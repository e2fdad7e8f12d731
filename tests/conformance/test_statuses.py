"""Statuses, error details and metadata of calls."""

from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo
from grpc_status import rpc_status

from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.stock_client import BALL, PREDICTION, SECONDS, SPEC, can_predict, wait_until

CORRELATION = "x-correlation-id"


def failure(channel: grpc.Channel, request: PredictRequest, **words: object) -> Any:
    with pytest.raises(grpc.RpcError) as failed:
        PredictionServiceStub(channel).Predict(request, timeout=SECONDS, **words)  # type: ignore[arg-type]
    return failed.value


def test_a_status_agrees_with_its_details(channel: grpc.Channel) -> None:
    call = failure(channel, PredictRequest(model=SPEC))
    status = rpc_status.from_call(call)
    assert status is not None
    assert (call.code(), call.details()) == (grpc.StatusCode.INVALID_ARGUMENT, status.message)
    info, refused = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(refused)
    assert (info.domain, info.reason) == ("ondeck", "INVALID_FIELD")
    assert [each.field for each in refused.field_violations] == ["batted_ball"]


def test_a_missing_resource_is_named_in_the_details(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        ModelServiceStub(channel).GetModel(GetModelRequest(model=ModelSpec(name="home_runs")), timeout=SECONDS)
    error: Any = failed.value
    status = rpc_status.from_call(error)
    assert status is not None
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    resources = [each for each in status.details if each.Is(ResourceInfo.DESCRIPTOR)]
    resource = ResourceInfo()
    assert resources[0].Unpack(resource)
    assert resource.resource_name == "home_runs"


@pytest.mark.parametrize(
    "path", [f"/{PREDICTION}/PredictTheFuture", "/ondeck.v1.Nothing/Predict", "/Predict", "/", "//", f"/{PREDICTION}/"]
)
def test_an_unknown_method_is_unimplemented(channel: grpc.Channel, path: str) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    with pytest.raises(grpc.RpcError) as failed:
        call(b"", timeout=SECONDS)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def trailing_metadata_of(call: Any) -> dict[str, str | bytes]:
    return dict(call.trailing_metadata() or ())


def test_a_correlation_id_is_returned_on_success_and_failure(channel: grpc.Channel) -> None:
    sent = ((CORRELATION, "at-bat 7"),)
    _, call = PredictionServiceStub(channel).Predict.with_call(BALL, metadata=sent, timeout=SECONDS)
    assert trailing_metadata_of(call)[CORRELATION] == "at-bat 7"
    assert trailing_metadata_of(failure(channel, PredictRequest(), metadata=sent))[CORRELATION] == "at-bat 7"


@pytest.mark.parametrize("sent", [(), ((CORRELATION, ""),), ((CORRELATION, "x" * 1000),)])
def test_a_failed_call_without_a_valid_correlation_id_gets_one(
    channel: grpc.Channel, sent: tuple[tuple[str, str], ...]
) -> None:
    first, second = (trailing_metadata_of(failure(channel, PredictRequest(), metadata=sent))[CORRELATION] for _ in "12")
    assert first != second
    assert all(0 < len(each) <= 128 for each in (first, second))


@pytest.mark.parametrize(
    "sent",
    [
        (("x-anything-bin", bytes(range(256))),),
        ((f"{CORRELATION}-bin", b"\0\xff"),),
        (("grpc-status-details-bin", b"mine"), ("grpc-tags-bin", b"?")),
        tuple(("x-many", str(number)) for number in range(100)),
        (("x-long", "y" * 4000),),
    ],
)
def test_unknown_metadata_does_no_harm(channel: grpc.Channel, sent: tuple[tuple[str, str | bytes], ...]) -> None:
    answer, call = PredictionServiceStub(channel).Predict.with_call(BALL, metadata=sent, timeout=SECONDS)
    assert answer.prediction.outcomes
    assert call.code() is grpc.StatusCode.OK


def test_too_large_metadata_fails_only_its_call(channel: grpc.Channel) -> None:
    call = failure(channel, BALL, metadata=(("x-long", "y" * 40_000),))
    assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert can_predict(channel)


def test_huge_metadata_fails_its_call_or_its_connection(channel: grpc.Channel) -> None:
    call = failure(channel, BALL, metadata=(("x-long", "y" * 100_000),))
    assert call.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
    assert wait_until(SECONDS, lambda: can_predict(channel))
