"""What happened, as a google.rpc.Status: the one place that knows which error a caller is told of how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

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
    Violation,
    WrongInstanceError,
)
from ondeck_registry.aliases import AliasChangeError
from ondeck_registry.atomic_files import RepositoryLockedError
from ondeck_registry.promotion import GateFailedError
from ondeck_registry.verification import VerificationFailedError
from ondeck_server.batching.queue import DeadlineUnmeetableError, QueueFullError
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.authorization import CallerUnauthenticatedError, NotOperatorError
from ondeck_server.security.rate_limit import RateExceededError

DOMAIN: Final = "ondeck"
LARGEST_DETAIL: Final = 3392  # bytes; gRPC gives 8 KiB to all headers of an answer, and details travel as base64
INTERNAL_TEXT: Final = "internal error; the server's log has the rest under the correlation id"
_PREFIX: Final = "ERROR_REASON_"
_SOON: Final = Duration(nanos=100_000_000)
_LATER: Final = Duration(seconds=5)

log = structlog.get_logger()


class UnreadableRequestError(OndeckError):
    """The bytes of a request are no message of the type that the rpc takes."""


class DeadlineExceededError(OndeckError):
    """The caller's time was over before the call could begin."""


@dataclass(frozen=True, kw_only=True)
class ErrorStatus:
    """An error as a caller is told of it."""

    code: int
    reason: "ErrorReason.ValueType"
    message: str
    violations: tuple[Violation, ...] = ()
    details: tuple[Message, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def status(self) -> Status:
        """Write it as google.rpc.Status, ErrorInfo first."""
        info = ErrorInfo(
            reason=ErrorReason.Name(self.reason).removeprefix(_PREFIX), domain=DOMAIN, metadata=dict(self.facts)
        )
        status = Status(code=self.code, message=self.message)
        for detail in (info, *self._bad_request(), *self.details):
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        return status

    def _bad_request(self) -> list[BadRequest]:
        named = [BadRequest.FieldViolation(field=v.field, description=v.description) for v in self.violations]
        sizes = accumulate(each.ByteSize() for each in named)
        fitting = [each for each, size in zip(named, sizes, strict=True) if size <= LARGEST_DETAIL]
        return [BadRequest(field_violations=fitting)] if fitting else []


def outcome_of(error: Exception) -> ErrorStatus:
    """Tell how a caller learns of an error; one that is none of ours is told as INTERNAL, without its text."""
    for kind, describe in _TABLE.items():
        if isinstance(error, kind):
            return describe(error)
    return ErrorStatus(code=code_pb2.INTERNAL, reason=ErrorReason.ERROR_REASON_INTERNAL, message=INTERNAL_TEXT)


def told(error: Exception, call: CallContext) -> ErrorStatus:
    """Tell how a caller learns of an error, and the log of one that is a fault of the server."""
    outcome = outcome_of(error)
    if outcome.code == code_pb2.INTERNAL:
        log.error("call failed", method=call.method, correlation_id=call.correlation_id, exc_info=error)
    return outcome


def _invalid(error: InvalidInstanceError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.INVALID_ARGUMENT,
        reason=ErrorReason.ERROR_REASON_INVALID_FIELD,
        message=str(error),
        violations=error.violations,
    )


def _unreadable(error: UnreadableRequestError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.INVALID_ARGUMENT, reason=ErrorReason.ERROR_REASON_INVALID_FIELD, message=str(error)
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


def _not_loaded(error: ModelNotLoadedError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.UNAVAILABLE,
        reason=ErrorReason.ERROR_REASON_MODEL_NOT_LOADED,
        message=str(error),
        details=(RetryInfo(retry_delay=_LATER),),
        facts={"model": error.model, "version": str(error.version)},
    )


def _not_explainable(error: NotExplainableError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.FAILED_PRECONDITION,
        reason=ErrorReason.ERROR_REASON_NOT_EXPLAINABLE,
        message=str(error),
        facts={"model": error.model, "version": str(error.version)},
    )


def _players_not_loaded(error: PlayersNotLoadedError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.UNAVAILABLE,
        reason=ErrorReason.ERROR_REASON_PLAYERS_NOT_LOADED,
        message=str(error),
        details=(RetryInfo(retry_delay=_LATER),),
    )


def _queue_full(error: QueueFullError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.RESOURCE_EXHAUSTED,
        reason=ErrorReason.ERROR_REASON_QUEUE_FULL,
        message=str(error),
        details=(RetryInfo(retry_delay=_SOON),),
    )


def _rate_exceeded(error: RateExceededError) -> ErrorStatus:
    allowed = f"{error.limit:g} rows a second for each caller"
    violation = QuotaFailure.Violation(subject=error.subject, description=allowed)
    return ErrorStatus(
        code=code_pb2.RESOURCE_EXHAUSTED,
        reason=ErrorReason.ERROR_REASON_RATE_EXCEEDED,
        message=str(error),
        details=(RetryInfo(retry_delay=_duration(error.wait_seconds)), QuotaFailure(violations=[violation])),
    )


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def _not_identified(error: CallerUnauthenticatedError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.UNAUTHENTICATED, reason=ErrorReason.ERROR_REASON_CALLER_UNAUTHENTICATED, message=str(error)
    )


def _not_operator(error: NotOperatorError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.PERMISSION_DENIED, reason=ErrorReason.ERROR_REASON_NOT_OPERATOR, message=str(error)
    )


def _version_refused(error: VerificationFailedError) -> ErrorStatus:
    return _not_this_version(error, ErrorReason.ERROR_REASON_VERIFICATION_FAILED)


def _not_better(error: GateFailedError) -> ErrorStatus:
    return _not_this_version(error, ErrorReason.ERROR_REASON_PROMOTION_GATE_FAILED)


def _not_this_version(error: VerificationFailedError | GateFailedError, reason: "ErrorReason.ValueType") -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.FAILED_PRECONDITION,
        reason=reason,
        message=str(error),
        facts={"model": error.model, "version": str(error.version)},
    )


def _move_refused(error: AliasChangeError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.FAILED_PRECONDITION, reason=ErrorReason.ERROR_REASON_NO_PREVIOUS_VERSION, message=str(error)
    )


def _repository_closed(error: RepositoryLockedError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.UNAVAILABLE,
        reason=ErrorReason.ERROR_REASON_REPOSITORY_LOCKED,
        message=str(error),
        details=(RetryInfo(retry_delay=_LATER),),
    )


def _deadline(error: DeadlineExceededError | DeadlineUnmeetableError) -> ErrorStatus:
    return ErrorStatus(
        code=code_pb2.DEADLINE_EXCEEDED,
        reason=ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
        message=str(error),
    )


_TABLE: Final[dict[type[Exception], Callable[..., ErrorStatus]]] = {
    InvalidInstanceError: _invalid,
    UnreadableRequestError: _unreadable,
    WrongInstanceError: _wrong_instance,
    NotFoundError: _not_found,
    ModelNotLoadedError: _not_loaded,
    NotExplainableError: _not_explainable,
    PlayersNotLoadedError: _players_not_loaded,
    QueueFullError: _queue_full,
    RateExceededError: _rate_exceeded,
    CallerUnauthenticatedError: _not_identified,
    NotOperatorError: _not_operator,
    VerificationFailedError: _version_refused,
    GateFailedError: _not_better,
    AliasChangeError: _move_refused,
    RepositoryLockedError: _repository_closed,
    DeadlineExceededError: _deadline,
    DeadlineUnmeetableError: _deadline,
}
