"""Details of a failed call: the reason to branch on, the invalid fields, and the id of the call in the server's log.

>>> try:
...     ondeck.predict("batted_ball", BattedBall(launch_speed=108))
... except grpc.RpcError as error:
...     if reason_of(error) == ErrorReason.ERROR_REASON_INVALID_FIELD:
...         fields = [violation.field for violation in violations_of(error)]
"""

import math
from contextlib import suppress
from typing import Final

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck.v1.prediction_service_pb2 import FieldViolation
from ondeck_client.correlation import CORRELATION_HEADER, attached_correlation_id

_DETAILS: Final = "grpc-status-details-bin"
_PUSHBACK: Final = "grpc-retry-pushback-ms"
_ENDED_WHILE_SENDING: Final = "Internal error from Core"
_UNHEALTHY: Final = "backend unhealthy"  # gRPC's own words
_DOMAIN: Final = "ondeck"
_PREFIX: Final = "ERROR_REASON_"


def reason_of(error: grpc.RpcError) -> "ErrorReason.ValueType":
    """Return the reason of a failed call.

    ERROR_REASON_UNSPECIFIED if the error has none (for example, if there is no connection), or one of a newer server
    that this client does not know.
    """
    info = ErrorInfo()
    for detail in _status(error).details:
        if detail.Unpack(info) and info.domain == _DOMAIN:
            return dict(ErrorReason.items()).get(f"{_PREFIX}{info.reason}", ErrorReason.ERROR_REASON_UNSPECIFIED)
    return ErrorReason.ERROR_REASON_UNSPECIFIED


def violations_of(error: grpc.RpcError) -> list[FieldViolation]:
    """Return the invalid fields of the request, each with a description of valid values."""
    bad = BadRequest()
    return [
        FieldViolation(field=each.field, description=each.description)
        for detail in _status(error).details
        if detail.Unpack(bad)
        for each in bad.field_violations
    ]


def correlation_id_of(error: grpc.RpcError) -> str:
    """Return the correlation id of a failed call; the log of the server has it if the call reached one.

    Empty if the call was sent by other means than this client and reached no server.
    """
    value = _trailing(error).get(CORRELATION_HEADER, "")
    return (value if isinstance(value, str) else value.decode()) or attached_correlation_id(error)


def retry_delay_of(error: grpc.RpcError) -> float | None:
    """Return the seconds that the server requests before a retry; infinity: no retry; None: it requests nothing."""
    if (pushed := _trailing(error).get(_PUSHBACK)) is not None:
        with suppress(ValueError):
            return int(pushed) / 1000 if int(pushed) >= 0 else math.inf
        return math.inf
    info = RetryInfo()
    for detail in _status(error).details:
        if detail.Unpack(info):
            return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None


def retry_pause_of(error: grpc.RpcError, default: float) -> float | None:
    """Return the seconds to wait before gRPC would make another attempt; None: it would make none."""
    if code_of(error) is not grpc.StatusCode.UNAVAILABLE:
        return None
    if (pushed := _trailing(error).get(_PUSHBACK)) is None:
        return default
    return int(pushed) / 1000 if str(pushed).isdecimal() else None


def code_of(error: grpc.RpcError) -> grpc.StatusCode | None:
    """Return the status code of an error; None if the error is not that of a call."""
    return error.code() if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else None


def is_transient(error: grpc.RpcError) -> bool:
    """Return whether a retry may succeed.

    Besides UNAVAILABLE, this is the error that grpc.aio raises instead of the true status if a call ends while it
    sends (grpc/grpc#36066).
    """
    if code_of(error) is grpc.StatusCode.UNAVAILABLE:
        return True
    return isinstance(error, grpc.aio.AioRpcError) and error.details() == _ENDED_WHILE_SENDING


def is_unhealthy(error: grpc.RpcError) -> bool:
    """Return whether a call was not sent, since no server that can be reached reports SERVING."""
    if not isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) or code_of(error) is not grpc.StatusCode.UNAVAILABLE:
        return False
    return _UNHEALTHY in str(error.details()) and not _status(error).details


def _status(error: grpc.RpcError) -> Status:
    value = _trailing(error).get(_DETAILS, b"")
    return Status.FromString(value) if isinstance(value, bytes) else Status()


def _trailing(error: grpc.RpcError) -> dict[str, str | bytes]:
    metadata = error.trailing_metadata() if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else None
    return dict(metadata or ())
