"""The rows of the error table, what is promised of each, and how a cell of it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

import grpc

Status: TypeAlias = grpc.StatusCode


class Row(Enum):
    """What happened: the rows of the table."""

    UNREADABLE = "the bytes are no request"
    FIELD = "a field is missing, not finite, out of range, of the wrong instance type"
    MISSING = "no such model, version, alias, player, service"
    AMBIGUOUS = "name fits several players"
    STATE = "what is there does not allow it"
    NOT_LOADED = "known, but not loaded"
    QUEUE = "queue full"
    RATE = "rate full"
    LATE = "cannot finish in the caller's time"
    WHO = "who are you"
    NOT_YOURS = "not yours"
    FAULT = "anything else"


@dataclass(frozen=True)
class Promise:
    """The status of a row, and the details beside ErrorInfo."""

    code: Status
    details: tuple[str, ...] = ()


PROMISES: Final[Mapping[Row, Promise]] = {
    Row.UNREADABLE: Promise(Status.INVALID_ARGUMENT),
    Row.FIELD: Promise(Status.INVALID_ARGUMENT, ("BadRequest",)),
    Row.MISSING: Promise(Status.NOT_FOUND, ("ResourceInfo",)),
    Row.AMBIGUOUS: Promise(Status.FAILED_PRECONDITION),
    Row.STATE: Promise(Status.FAILED_PRECONDITION),
    Row.NOT_LOADED: Promise(Status.UNAVAILABLE, ("RetryInfo",)),
    Row.QUEUE: Promise(Status.RESOURCE_EXHAUSTED, ("RetryInfo",)),
    Row.RATE: Promise(Status.RESOURCE_EXHAUSTED, ("RetryInfo", "QuotaFailure")),
    Row.LATE: Promise(Status.DEADLINE_EXCEEDED),
    Row.WHO: Promise(Status.UNAUTHENTICATED),
    Row.NOT_YOURS: Promise(Status.PERMISSION_DENIED),
    Row.FAULT: Promise(Status.INTERNAL),
}


@dataclass(frozen=True, kw_only=True)
class Provoked:
    """A call that ends so: the request, the server that is asked, the reason, and what the message says to do.

    `fields`: the violations in order. `seconds`: the caller's time. `crowd`: many ask at once. `again`: asked so often.
    `text_alone`: why nothing but the message reaches the caller.
    """

    request: Any = field(default_factory=dict)
    server: str = "broken"
    reason: str
    says: str
    fields: tuple[str, ...] = ()
    seconds: float = 30
    crowd: "Crowd | None" = None
    again: int = 1
    text_alone: str = ""


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """What others ask meanwhile."""

    rpc: str
    request: Any


Cell: TypeAlias = Provoked | str
GARBAGE: Final = b"\xff\xff\xff"

NOBODY_ASKS: Final = "no model is asked"
NO_ROWS: Final = "no row waits for a run"
FROM_MEMORY: Final = "answers with what is in memory"
ANYONE: Final = "anyone may"
NO_FIELDS: Final = "its request has no fields"
AS_AN_ANSWER: Final = "a name that fits several is an answer of ResolvePlayers, and no other rpc takes names"
NOTHING_NAMED: Final = "names nothing that could be missing"
NO_DEMANDS: Final = "asks nothing of what is there"
ANY_STATE: Final = "tells of a model in any state"
ON_DISK: Final = "needs no loaded model: works on what is on the disk"
GRPCS_OWN: Final = "grpcio's own service: it tells errors as answers, and touches nothing of ours"

NOWHERE: Final[dict[Row, Cell]] = dict.fromkeys(Row, GRPCS_OWN)
UNREADABLE: Final = Provoked(request=GARBAGE, reason="INVALID_FIELD", says="the request is not a valid ")
LATE: Final = Provoked(reason="", says="", seconds=-1)  # the caller's own library says it before anything is sent
LATE_STREAM: Final = Provoked(
    request=None, reason="DEADLINE_EXCEEDED", says="", seconds=0.3
)  # where the server says it
TELLING: Final[dict[Row, Cell]] = {
    Row.UNREADABLE: UNREADABLE,
    Row.FIELD: NO_FIELDS,
    Row.MISSING: NOTHING_NAMED,
    Row.AMBIGUOUS: AS_AN_ANSWER,
    Row.STATE: NO_DEMANDS,
    Row.NOT_LOADED: NOBODY_ASKS,
    Row.QUEUE: NO_ROWS,
    Row.RATE: NO_ROWS,
    Row.LATE: LATE,
    Row.WHO: ANYONE,
    Row.NOT_YOURS: ANYONE,
    Row.FAULT: FROM_MEMORY,
}
MOVING: Final[dict[Row, Cell]] = {**TELLING, Row.NOT_LOADED: ON_DISK}
