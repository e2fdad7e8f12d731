"""What a failed call tells a program: the reason to branch on, the fields at fault, the id to look for in the log.

>>> try:
...     ondeck.predict("batted_ball", BattedBall(launch_speed=108))
... except grpc.RpcError as failed:
...     if reason_of(failed) == ErrorReason.ERROR_REASON_INVALID_FIELD:
...         fields = [violation.field for violation in violations_of(failed)]
"""

import math
from contextlib import suppress
from typing import Final

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck.v1.prediction_service_pb2 import FieldViolation

_DETAILS: Final = "grpc-status-details-bin"
_CORRELATION: Final = "x-correlation-id"
_PUSHBACK: Final = "grpc-retry-pushback-ms"
_ENDED_WHILE_SENDING: Final = "Internal error from Core"
_DOMAIN: Final = "ondeck"
_PREFIX: Final = "ERROR_REASON_"


def reason_of(error: grpc.RpcError) -> "ErrorReason.ValueType":
    """Tell why a call failed.

    ERROR_REASON_UNSPECIFIED where no Ondeck server said so (no connection, say), or where a newer server gave a
    reason that this client does not know.
    """
    info = ErrorInfo()
    for detail in _status(error).details:
        if detail.Unpack(info) and info.domain == _DOMAIN:
            return dict(ErrorReason.items()).get(f"{_PREFIX}{info.reason}", ErrorReason.ERROR_REASON_UNSPECIFIED)
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


def correlation_id_of(error: grpc.RpcError) -> str:
    """Tell the id under which the server's log has the call; empty where no server was reached."""
    value = _trailing(error).get(_CORRELATION, "")
    return value if isinstance(value, str) else value.decode()


def retry_delay_of(error: grpc.RpcError) -> float | None:
    """Tell how many seconds the server asks to wait before another try; infinity: not to try again; None: nothing."""
    if (pushed := _trailing(error).get(_PUSHBACK)) is not None:
        with suppress(ValueError):
            return int(pushed) / 1000 if int(pushed) >= 0 else math.inf
        return math.inf
    info = RetryInfo()
    for detail in _status(error).details:
        if detail.Unpack(info):
            return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None


def code_of(error: grpc.RpcError) -> grpc.StatusCode | None:
    """Tell the status of a failed call; None where no call failed."""
    return error.code() if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else None


def may_pass(error: grpc.RpcError) -> bool:
    """Tell whether another try may succeed.

    Besides UNAVAILABLE, that is what grpc.aio says, instead of the true status, of a call that ends just while it
    sends (grpc/grpc#36066): another try will tell.
    """
    if code_of(error) is grpc.StatusCode.UNAVAILABLE:
        return True
    return isinstance(error, grpc.aio.AioRpcError) and error.details() == _ENDED_WHILE_SENDING


def _status(error: grpc.RpcError) -> Status:
    value = _trailing(error).get(_DETAILS, b"")
    return Status.FromString(value) if isinstance(value, bytes) else Status()


def _trailing(error: grpc.RpcError) -> dict[str, str | bytes]:
    told = error.trailing_metadata() if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else None
    return dict(told or ())
