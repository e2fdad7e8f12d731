"""The rows of the error table, the expected status of each, and the types of its cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

import grpc

Status: TypeAlias = grpc.StatusCode


class Row(Enum):
    """Causes of errors."""

    UNREADABLE = "the bytes are not a valid request"
    FIELD = "a field is missing, not finite, out of range or of the wrong instance type"
    MISSING = "the model, version, alias, player or service does not exist"
    AMBIGUOUS = "a name matches several players"
    STATE = "the state does not permit the call"
    NOT_LOADED = "the version exists but is not loaded"
    QUEUE = "the queue is full"
    RATE = "the rate limit is exceeded"
    LATE = "the deadline cannot be met"
    UNAUTHENTICATED = "the caller has no identity"
    PERMISSION = "the caller is no operator"
    FAULT = "any other error"


@dataclass(frozen=True)
class ExpectedStatus:
    """Status code of a row and the details beside ErrorInfo."""

    code: Status
    details: tuple[str, ...] = ()


EXPECTED: Final[Mapping[Row, ExpectedStatus]] = {
    Row.UNREADABLE: ExpectedStatus(Status.INVALID_ARGUMENT),
    Row.FIELD: ExpectedStatus(Status.INVALID_ARGUMENT, ("BadRequest",)),
    Row.MISSING: ExpectedStatus(Status.NOT_FOUND, ("ResourceInfo",)),
    Row.AMBIGUOUS: ExpectedStatus(Status.FAILED_PRECONDITION),
    Row.STATE: ExpectedStatus(Status.FAILED_PRECONDITION),
    Row.NOT_LOADED: ExpectedStatus(Status.UNAVAILABLE, ("RetryInfo",)),
    Row.QUEUE: ExpectedStatus(Status.RESOURCE_EXHAUSTED, ("RetryInfo",)),
    Row.RATE: ExpectedStatus(Status.RESOURCE_EXHAUSTED, ("RetryInfo", "QuotaFailure")),
    Row.LATE: ExpectedStatus(Status.DEADLINE_EXCEEDED),
    Row.UNAUTHENTICATED: ExpectedStatus(Status.UNAUTHENTICATED),
    Row.PERMISSION: ExpectedStatus(Status.PERMISSION_DENIED),
    Row.FAULT: ExpectedStatus(Status.INTERNAL),
}


@dataclass(frozen=True, kw_only=True)
class ErrorCase:
    """A call that fails: its request, the server, and the expected reason and part of the message.

    `fields`: the violations in order. `seconds`: timeout of the call. `load`: concurrent calls. `attempts`: calls until
    one fails. `message_only`: why the caller receives nothing but the message.
    """

    request: Any = field(default_factory=dict)
    server: str = "broken"
    reason: str
    message: str
    fields: tuple[str, ...] = ()
    seconds: float = 30
    load: "ConcurrentLoad | None" = None
    attempts: int = 1
    message_only: str = ""


@dataclass(frozen=True, kw_only=True)
class ConcurrentLoad:
    """Calls of other clients at the same time."""

    rpc: str
    request: Any


Cell: TypeAlias = ErrorCase | str
GARBAGE: Final = b"\xff\xff\xff"

NO_MODEL: Final = "uses no model"
NO_ROWS: Final = "queues no rows"
FROM_MEMORY: Final = "responds from memory"
NO_AUTHORIZATION: Final = "every caller is permitted"
NO_FIELDS: Final = "its request has no fields"
IS_A_RESPONSE: Final = "an ambiguous name is a response of ResolvePlayers; no other rpc takes names of players"
NO_NAMES: Final = "its request names nothing that could be missing"
NO_PRECONDITIONS: Final = "has no preconditions"
ANY_STATE: Final = "describes a model in any state"
ON_DISK: Final = "reads the repository on disk and needs no loaded model"
REFLECTION_ERRORS: Final = "reports errors as responses, as reflection defines"

NOT_APPLICABLE: Final[dict[Row, Cell]] = dict.fromkeys(Row, REFLECTION_ERRORS)
UNREADABLE: Final = ErrorCase(request=GARBAGE, reason="INVALID_FIELD", message="the request is not a valid ")
LATE: Final = ErrorCase(reason="", message="", seconds=-1)  # the client library fails the call before it is sent
LATE_STREAM: Final = ErrorCase(request=None, reason="DEADLINE_EXCEEDED", message="", seconds=0.3)  # the server fails it
READS: Final[dict[Row, Cell]] = {
    Row.UNREADABLE: UNREADABLE,
    Row.FIELD: NO_FIELDS,
    Row.MISSING: NO_NAMES,
    Row.AMBIGUOUS: IS_A_RESPONSE,
    Row.STATE: NO_PRECONDITIONS,
    Row.NOT_LOADED: NO_MODEL,
    Row.QUEUE: NO_ROWS,
    Row.RATE: NO_ROWS,
    Row.LATE: LATE,
    Row.UNAUTHENTICATED: NO_AUTHORIZATION,
    Row.PERMISSION: NO_AUTHORIZATION,
    Row.FAULT: FROM_MEMORY,
}
CHANGES: Final[dict[Row, Cell]] = {**READS, Row.NOT_LOADED: ON_DISK}
