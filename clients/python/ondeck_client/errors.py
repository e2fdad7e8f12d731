"""What a failed call tells a program: the reason to branch on, and the fields at fault."""

from typing import Final

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck.v1.prediction_service_pb2 import FieldViolation

_DETAILS: Final = "grpc-status-details-bin"
_PREFIX: Final = "ERROR_REASON_"


def reason_of(error: grpc.RpcError) -> "ErrorReason.ValueType":
    """Tell why a call failed; ERROR_REASON_UNSPECIFIED where no Ondeck server said so (no connection, say)."""
    for detail in _status(error).details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return ErrorReason.Value(f"{_PREFIX}{info.reason}")
    return ErrorReason.ERROR_REASON_UNSPECIFIED


def violations_of(error: grpc.RpcError) -> list[FieldViolation]:
    """Tell which fields of the request could not be taken, and what would be right."""
    bad = BadRequest()
    return [
        FieldViolation(field=each.field, description=each.description)
        for detail in _status(error).details
        if detail.Unpack(bad)
        for each in bad.field_violations
    ]


def _status(error: grpc.RpcError) -> Status:
    trailing = error.trailing_metadata() if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else None
    for key, value in trailing or ():
        if key == _DETAILS and isinstance(value, bytes):
            return Status.FromString(value)
    return Status()
