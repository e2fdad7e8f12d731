"""The error table: the gRPC status, reason and details of every error that a handler may raise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, TypeAlias

import structlog
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck_core.errors import (
    InvalidInstanceError,
    ModelNotLoadedError,
    NotExplainableError,
    NotFoundError,
    OndeckError,
    PlayersNotLoadedError,
    RunTimeoutError,
    Violation,
    WrongInstanceError,
)
from ondeck_registry.aliases import AliasChangeError
from ondeck_registry.atomic_files import RepositoryLockedError
from ondeck_registry.promotion import GateFailedError
from ondeck_registry.verification import VerificationFailedError
from ondeck_server.batching.queue import DeadlineUnmeetableError, QueueFullError
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.operators import CallerUnauthenticatedError, NotOperatorError
from ondeck_server.security.rate_limit import RateExceededError

DOMAIN: Final = "ondeck"
MAX_DETAIL_BYTES: Final = 3392  # gRPC limits the trailers of a call to 8 KiB, and details travel as base64
INTERNAL_TEXT: Final = "internal error; the server logs the details under the correlation id"
_PREFIX: Final = "ERROR_REASON_"
_RETRY_SOON: Final = RetryInfo(retry_delay=Duration(nanos=100_000_000))
_RETRY_LATER: Final = RetryInfo(retry_delay=Duration(seconds=5))

Reason: TypeAlias = "ErrorReason.ValueType"

log = structlog.get_logger()


class UnreadableRequestError(OndeckError):
    """The bytes of a request are not a message of the method's request type."""


class DeadlineExceededError(OndeckError):
    """The deadline of the call has passed."""


class BufferFullError(OndeckError):
    """The messages of a connection, of its address or of a worker take as many bytes as they may."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"unread responses and unfinished requests exceed {limit}; try again in 0.1 s")


class ProtocolError(Exception):
    """A call violates the protocol or a limit of the transport; ends it with this status, without details."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class ErrorStatus:
    """The status of an error; `metadata` is that of its ErrorInfo."""

    code: int
    reason: Reason
    message: str
    violations: tuple[Violation, ...] = ()
    details: tuple[Message, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_proto(self) -> Status:
        """Convert to google.rpc.Status with ErrorInfo as its first detail."""
        reason = ErrorReason.Name(self.reason).removeprefix(_PREFIX)
        info = ErrorInfo(reason=reason, domain=DOMAIN, metadata=dict(self.metadata))
        status = Status(code=self.code, message=self.message)
        for detail in (info, *self._bad_request(), *self.details):
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        return status

    def _bad_request(self) -> list[BadRequest]:
        """Return the violations as a detail, as many as fit."""
        all_ = [BadRequest.FieldViolation(field=v.field, description=v.description) for v in self.violations]
        sizes = accumulate(each.ByteSize() for each in all_)
        fitting = [each for each, size in zip(all_, sizes, strict=True) if size <= MAX_DETAIL_BYTES]
        return [BadRequest(field_violations=fitting)] if fitting else []


def error_status(error: Exception) -> ErrorStatus:
    """Return the status of an error; an error that is not in the table is INTERNAL, without its text."""
    for kind, describe in _TABLE.items():
        if isinstance(error, kind):
            return describe(error)
    return ErrorStatus(code=code_pb2.INTERNAL, reason=ErrorReason.ERROR_REASON_INTERNAL, message=INTERNAL_TEXT)


def map_and_log(error: Exception, call: CallContext) -> ErrorStatus:
    """Return the status of an error of a call; log it if it is INTERNAL."""
    status = error_status(error)
    if status.code == code_pb2.INTERNAL:
        log.error("call_failed", method=call.method, correlation_id=call.correlation_id, exc_info=error)
    return status


def _plain(code: int, reason: Reason, *details: Message) -> Callable[..., ErrorStatus]:
    """Describe errors by code, reason and text."""

    def describe(error: Exception) -> ErrorStatus:
        return ErrorStatus(code=code, reason=reason, message=str(error), details=details)

    return describe


def _of_version(code: int, reason: Reason, *details: Message) -> Callable[..., ErrorStatus]:
    """Describe errors of a model version; the metadata name it."""

    def describe(
        error: ModelNotLoadedError | NotExplainableError | VerificationFailedError | GateFailedError,
    ) -> ErrorStatus:
        version = {"model": error.model, "version": str(error.version)}
        return ErrorStatus(code=code, reason=reason, message=str(error), details=details, metadata=version)

    return describe


def _invalid_instance(error: InvalidInstanceError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.INVALID_ARGUMENT,
        reason=ErrorReason.ERROR_REASON_INVALID_FIELD,
        message=str(error),
        violations=error.violations,
    )


def _wrong_instance(error: WrongInstanceError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.INVALID_ARGUMENT,
        reason=ErrorReason.ERROR_REASON_WRONG_INSTANCE,
        message=str(error),
        violations=(error.violation,),
    )


def _not_found(error: NotFoundError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.NOT_FOUND,
        reason=ErrorReason.Value(f"{_PREFIX}{error.kind.upper()}_NOT_FOUND"),
        message=str(error),
        details=(ResourceInfo(resource_type=f"ondeck.v1/{error.kind}", resource_name=error.name),),
    )


def _rate_exceeded(error: RateExceededError) -> ErrorStatus:
    limit = f"{error.limit:g} rows a second for each caller"
    violation = QuotaFailure.Violation(subject=error.subject, description=limit)
    delay = Duration(seconds=int(error.wait_seconds), nanos=int(error.wait_seconds % 1 * 1e9))
    return ErrorStatus(
        code=code_pb2.RESOURCE_EXHAUSTED,
        reason=ErrorReason.ERROR_REASON_RATE_EXCEEDED,
        message=str(error),
        details=(RetryInfo(retry_delay=delay), QuotaFailure(violations=[violation])),
    )


_DEADLINE: Final = _plain(code_pb2.DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED)
_TABLE: Final[dict[type[Exception], Callable[..., ErrorStatus]]] = {
    InvalidInstanceError: _invalid_instance,
    UnreadableRequestError: _plain(code_pb2.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_INVALID_FIELD),
    WrongInstanceError: _wrong_instance,
    NotFoundError: _not_found,
    ModelNotLoadedError: _of_version(code_pb2.UNAVAILABLE, ErrorReason.ERROR_REASON_MODEL_NOT_LOADED, _RETRY_LATER),
    NotExplainableError: _of_version(code_pb2.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_NOT_EXPLAINABLE),
    PlayersNotLoadedError: _plain(code_pb2.UNAVAILABLE, ErrorReason.ERROR_REASON_PLAYERS_NOT_LOADED, _RETRY_LATER),
    QueueFullError: _plain(code_pb2.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_QUEUE_FULL, _RETRY_SOON),
    RunTimeoutError: _plain(code_pb2.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_RUN_TIMEOUT),
    BufferFullError: _plain(code_pb2.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_BUFFER_FULL, _RETRY_SOON),
    RateExceededError: _rate_exceeded,
    CallerUnauthenticatedError: _plain(code_pb2.UNAUTHENTICATED, ErrorReason.ERROR_REASON_CALLER_UNAUTHENTICATED),
    NotOperatorError: _plain(code_pb2.PERMISSION_DENIED, ErrorReason.ERROR_REASON_NOT_OPERATOR),
    VerificationFailedError: _of_version(code_pb2.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_VERIFICATION_FAILED),
    GateFailedError: _of_version(code_pb2.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_PROMOTION_GATE_FAILED),
    AliasChangeError: _plain(code_pb2.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_NO_PREVIOUS_VERSION),
    RepositoryLockedError: _plain(code_pb2.UNAVAILABLE, ErrorReason.ERROR_REASON_REPOSITORY_LOCKED, _RETRY_LATER),
    DeadlineExceededError: _DEADLINE,
    DeadlineUnmeetableError: _DEADLINE,
}
