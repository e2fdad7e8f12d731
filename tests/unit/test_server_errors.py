"""Mapping of errors to gRPC statuses and details."""

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo

from ondeck_core.errors import (
    InvalidInstanceError,
    ModelNotLoadedError,
    NotExplainableError,
    NotFoundError,
    Violation,
    WrongInstanceError,
    without_folders,
)
from ondeck_server.batching.queue import QueueFullError
from ondeck_server.rpc.errors import DOMAIN, INTERNAL_TEXT, DeadlineExceededError, error_status

TABLE = [
    (
        InvalidInstanceError([Violation("pitch.plate_x", "is required")]),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        [BadRequest],
    ),
    (
        WrongInstanceError("batted_ball", "called_strike", "Pitch", "BattedBall"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "WRONG_INSTANCE",
        [BadRequest],
    ),
    (NotFoundError("model", "x", []), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", [ResourceInfo]),
    (NotFoundError("version", "x/9", ["1"]), grpc.StatusCode.NOT_FOUND, "VERSION_NOT_FOUND", [ResourceInfo]),
    (NotFoundError("alias", "x@y", []), grpc.StatusCode.NOT_FOUND, "ALIAS_NOT_FOUND", [ResourceInfo]),
    (ModelNotLoadedError("x", 2, "broken"), grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_LOADED", [RetryInfo]),
    (NotExplainableError("x", 2), grpc.StatusCode.FAILED_PRECONDITION, "NOT_EXPLAINABLE", []),
    (QueueFullError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", [RetryInfo]),
    (DeadlineExceededError("late"), grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", []),
    (ZeroDivisionError("secret"), grpc.StatusCode.INTERNAL, "INTERNAL", []),
]


@pytest.mark.parametrize(("error", "code", "reason", "details"), TABLE, ids=[row[2] for row in TABLE])
def test_every_error_maps_to_the_status_of_the_table(
    error: Exception, code: grpc.StatusCode, reason: str, details: list[type[Message]]
) -> None:
    status = error_status(error).to_proto()
    assert status.code == code.value[0]
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (reason, DOMAIN)
    assert [packed.TypeName() for packed in status.details[1:]] == [kind.DESCRIPTOR.full_name for kind in details]


def test_an_unknown_error_does_not_reveal_its_text() -> None:
    assert error_status(ZeroDivisionError("secret")).to_proto().message == INTERNAL_TEXT


def test_every_violation_is_named() -> None:
    violations = [Violation("pitch.plate_x", "is required"), Violation("pitch.plate_z", "must be a number")]
    bad = BadRequest()
    assert error_status(InvalidInstanceError(violations)).to_proto().details[1].Unpack(bad)
    assert [(each.field, each.description) for each in bad.field_violations] == [
        ("pitch.plate_x", "is required"),
        ("pitch.plate_z", "must be a number"),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("FAIL : /onnxruntime_src/onnxruntime/core/graph/model.cc:256 Unsupported", "FAIL : model.cc:256 Unsupported"),
        (
            "[Errno 2] No such file or directory: '/srv/models/a b/model.onnx'",
            "[Errno 2] No such file or directory: 'model.onnx'",
        ),
        ('the model repository "/home/Bob\'s x/models" does not exist', 'the model repository "models" does not exist'),
        ("scores/1 has 1/2 of its rows, see models/scores", "scores/1 has 1/2 of its rows, see models/scores"),
        ("of type /ondeck.v1.PredictionService/Predict", "of type Predict"),
    ],
)
def test_texts_of_other_programs_name_no_folder(text: str, shown: str) -> None:
    assert without_folders(text) == shown
