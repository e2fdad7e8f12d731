"""Requests that the server refuses, each with the status and the error details it promises."""

import math
import urllib.request
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from ondeck.v1.instances_pb2 import BattedBall, BattedBallColumns, Pitch, PitchColumns
from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    PredictRequest,
)
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_core.instances import PITCH
from tests.fixtures.server import RunningServer

NAN = float("nan")
BALL = BattedBall(launch_speed=100, launch_angle=20)


def spec(name: str, **choice: Any) -> ModelSpec:
    return ModelSpec(name=name, **choice)


REFUSED = [
    (PredictRequest(batted_ball=BALL), "INVALID_FIELD", ["model.name"]),
    (PredictRequest(model=spec("batted_ball")), "INVALID_FIELD", ["batted_ball"]),
    (PredictRequest(model=spec("called_strike"), batted_ball=BALL), "WRONG_INSTANCE", ["batted_ball"]),
    (PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0)), "INVALID_FIELD", ["pitch.plate_z"]),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=NAN, plate_z=math.inf)),
        "INVALID_FIELD",
        ["pitch.plate_x", "pitch.plate_z"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0, plate_z=2, sz_top=NAN)),
        "INVALID_FIELD",
        ["pitch.sz_top"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=NAN, sz_top=99, balls=9)),
        "INVALID_FIELD",
        ["pitch.plate_x", "pitch.plate_z", "pitch.sz_top", "pitch.balls"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=99, plate_z=2)),
        "INVALID_FIELD",
        ["pitch.plate_x"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0, plate_z=2, balls=4, strikes=3)),
        "INVALID_FIELD",
        ["pitch.balls", "pitch.strikes"],
    ),
    (
        PredictRequest(model=spec("batted_ball"), batted_ball=BattedBall(launch_speed=1, launch_angle=1, hc_x=3)),
        "INVALID_FIELD",
        ["batted_ball.hc_y"],
    ),
]


def reason_and_fields(error: Any) -> tuple[str, list[str]]:
    status = rpc_status.from_call(error)
    assert status is not None
    info, bad = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert all(each.description for each in bad.field_violations)
    return info.reason, [each.field for each in bad.field_violations]


@pytest.mark.parametrize(("request_", "reason", "fields"), REFUSED)
def test_an_invalid_request_names_each_field(
    predictions: PredictionServiceStub, request_: PredictRequest, reason: str, fields: list[str]
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Predict(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_and_fields(refused.value) == (reason, fields)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (BatchPredictRequest(model=spec("called_strike")), ["pitches"]),
        (BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns()), ["pitches"]),
        (
            BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(plate_x=[0, 0], plate_z=[2])),
            ["pitches.plate_z"],
        ),
        (
            BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(plate_x=[0, NAN], plate_z=[2, 2])),
            ["pitches.plate_x[1]"],
        ),
        (
            BatchPredictRequest(
                model=spec("called_strike"), pitches=PitchColumns(plate_x=[0, 0], plate_z=[2, math.inf])
            ),
            ["pitches.plate_z[1]"],
        ),
    ],
)
def test_an_invalid_batch_is_refused_whole_and_names_the_rows(
    predictions: PredictionServiceStub, request_: BatchPredictRequest, fields: list[str]
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_and_fields(refused.value)[1] == fields


def raw_predict(channel: grpc.Channel, request: bytes) -> None:
    call: Any = channel.unary_unary("/ondeck.v1.PredictionService/Predict")
    call(request, timeout=10)


@pytest.mark.parametrize("request_", [b"\xff\xff\xff", b"\n\x03\n\x01\xff"], ids=["no message", "no UTF-8"])
def test_undecodable_bytes_are_refused_and_counted(
    channel: grpc.Channel, running_server: RunningServer, request_: bytes
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        raw_predict(channel, request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the request is not a valid ondeck.v1.PredictRequest" in str(refused.value.details())
    counted = 'grpc_code="INVALID_ARGUMENT",grpc_method="Predict",grpc_service="ondeck.v1.PredictionService"'
    assert any(counted in line for line in metrics(running_server))


def test_undecodable_bytes_end_a_stream_with_invalid_argument(channel: grpc.Channel) -> None:
    call: Any = channel.stream_stream("/ondeck.v1.PredictionService/StreamPredict")
    with pytest.raises(grpc.RpcError) as refused:
        list(call(iter([b"\xff\xff\xff"]), timeout=10))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_error_details_fit_into_the_trailers(
    predictions: PredictionServiceStub,
) -> None:
    invalid_columns: dict[str, Any] = {field.name: [9999.0] * 500 for field in PITCH.fields if field.codes is None}
    requests: list[tuple[Any, Any, grpc.StatusCode]] = [
        (
            predictions.BatchPredict,
            BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(**invalid_columns)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (predictions.Predict, PredictRequest(model=spec("x" * 20_000)), grpc.StatusCode.NOT_FOUND),
        (
            predictions.Predict,
            PredictRequest(model=spec("batted_ball", alias="é" * 5_000)),
            grpc.StatusCode.NOT_FOUND,
        ),
    ]
    for call, request, code in requests:
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                call(request, timeout=10)
            error: Any = refused.value
            assert error.code() is code
            assert sum(len(key) + len(value) + 32 for key, value in error.trailing_metadata()) < 6_000
    fields = {name.partition("[")[0] for name in refused_fields(predictions, invalid_columns)}
    assert fields == {f"pitches.{name}" for name in invalid_columns}


def refused_fields(predictions: PredictionServiceStub, columns: dict[str, Any]) -> list[str]:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(**columns)))
    return reason_and_fields(refused.value)[1]


def metrics(server: RunningServer) -> list[str]:
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=10) as response:  # noqa: S310  a page of this server
        page: bytes = response.read()
    return page.decode().splitlines()


def predicted_rows(server: RunningServer) -> list[str]:
    return [line for line in metrics(server) if line.startswith("ondeck_predicted_rows_total")]


def test_a_batch_with_too_large_a_response_is_refused_before_it_runs(
    predictions: PredictionServiceStub, running_server: RunningServer
) -> None:
    column = np.full(600_000, 50, dtype=np.float32).tolist()
    columns = BattedBallColumns(launch_speed=column, launch_angle=column)
    before = predicted_rows(running_server)
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(BatchPredictRequest(model=spec("batted_ball"), batted_balls=columns), timeout=60)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_and_fields(refused.value)[1] == ["batted_balls"]
    assert "has 600000 rows; a response to more than 381" in str(refused.value.details())
    assert predicted_rows(running_server) == before


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (spec("home_runs"), "MODEL_NOT_FOUND"),
        (spec("batted_ball", version=7), "VERSION_NOT_FOUND"),
        (spec("batted_ball", alias="candidate"), "ALIAS_NOT_FOUND"),
    ],
)
def test_an_unknown_model_version_or_alias_is_not_found(channel: grpc.Channel, model: ModelSpec, reason: str) -> None:
    for call in (
        lambda: PredictionServiceStub(channel).Predict(PredictRequest(model=model, batted_ball=BALL)),
        lambda: ModelServiceStub(channel).GetModel(GetModelRequest(model=model)),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        error: Any = refused.value
        status, info = rpc_status.from_call(error), ErrorInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert info.reason == reason


def test_ten_million_rows_exceed_the_message_limit(predictions: PredictionServiceStub) -> None:
    column = np.zeros(10_000_000, dtype=np.float32).tolist()
    request = BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(plate_x=column, plate_z=column))
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(request)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
