"""Every rpc through every row of the error table: how each is provoked, or why it cannot occur there.

A request is written as JSON is; `bytes` are sent as they are. What is promised of a row stands in `PROMISES`.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, TypeAlias

import grpc
import numpy as np

from ondeck_core.tasks import TASKS
from ondeck_server.batching.batcher import ROWS_A_RUN
from ondeck_server.rpc.statuses import INTERNAL_TEXT
from tests.made_up_trouble import BROKEN, FATAL_SPEED, HOLLOW, MODEL, NO_BETTER

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
    server: str = "troubled"
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
BALL: Final = {"launch_speed": 100, "launch_angle": 20}
FATAL: Final = {"launch_speed": FATAL_SPEED, "launch_angle": 20}


def balls(rows: int) -> dict[str, list[float]]:
    """Ask about the same ball so often."""
    return {"launch_speed": [100.0] * rows, "launch_angle": [20.0] * rows}


BALLS: Final = balls(ROWS_A_RUN)
CROWD: Final = Crowd(
    rpc="ondeck.v1.PredictionService/BatchPredict", request={"model": {"name": MODEL}, "batted_balls": BALLS}
)
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
UNREADABLE: Final = Provoked(request=GARBAGE, reason="INVALID_FIELD", says="the request is no ")
LATE: Final = Provoked(reason="", says="", seconds=-1)
LATE_STREAM: Final = Provoked(request=None, reason="", says="", seconds=0.3)


def asked(
    server: str = "troubled", *, name: str = MODEL, again: int = 1, crowd: "Crowd | None" = None, **rest: Any
) -> Provoked:
    """Ask a model about a ball."""
    told = {word: rest.pop(word) for word in ("reason", "says", "fields") if word in rest}
    choice = {word: rest.pop(word) for word in ("version", "alias") if word in rest}
    request: dict[str, Any] = {"model": {"name": name, **choice}, **rest}
    return Provoked(request=request, server=server, again=again, crowd=crowd, **told)


def predicting(field_: str, good: Any, fatal: Any, wild: tuple[Any, str]) -> dict[Row, Cell]:
    """Say how an rpc that asks a model ends; `field_` is what it takes the instance in."""
    return {
        Row.UNREADABLE: UNREADABLE,
        Row.FIELD: asked(reason="INVALID_FIELD", says="must be", fields=(wild[1],), **{field_: wild[0]}),
        Row.MISSING: asked(reason="MODEL_NOT_FOUND", says="there are: ", name="home_runs", **{field_: good}),
        Row.AMBIGUOUS: AS_AN_ANSWER,
        Row.STATE: NO_DEMANDS,
        Row.NOT_LOADED: asked(reason="MODEL_NOT_LOADED", says="not loaded: ", version=BROKEN, **{field_: good}),
        Row.QUEUE: asked("crowded", reason="QUEUE_FULL", says="try again", crowd=CROWD, **{field_: good}),
        Row.RATE: asked("strict", reason="RATE_EXCEEDED", says="try again in ", again=20, **{field_: good}),
        Row.LATE: LATE,
        Row.WHO: ANYONE,
        Row.NOT_YOURS: ANYONE,
        Row.FAULT: asked(reason="INTERNAL", says=INTERNAL_TEXT, alias="fragile", **{field_: fatal}),
    }


MORE_THAN_CAN_BE_DONE: Final = Provoked(
    request={"model": {"name": MODEL}, "batted_balls": balls(90_000)},
    reason="DEADLINE_EXCEEDED",
    says=" ms are left",
    seconds=0.05,  # the server's word, or the caller's own library is faster
)
ONE: Final = predicting("batted_ball", BALL, FATAL, ({**BALL, "launch_speed": 999}, "batted_ball.launch_speed"))
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
PEOPLE: Final[dict[Row, Cell]] = {
    **TELLING,
    Row.NOT_LOADED: Provoked(reason="PLAYERS_NOT_LOADED", says="the server's log says", request={"text": "Boyd"}),
}
WHY: Final = {"why": "a test"}
UNREADABLE_ALIASES: Final = "torn"  # a model whose aliases.json was torn while the server ran


def moving(request: dict[str, Any], **rest: Any) -> Provoked:
    """Move an alias of a model."""
    return Provoked(request={"model": MODEL, **WHY, **request}, **rest)


FEATURES: Final = len(TASKS[MODEL].features.names)
IN_MESSAGE: Final = "ModelStreamInferResponse has an error_message, and no field for a status or its details"


def tensor(rows: int, first_feature: float = 100) -> dict[str, Any]:
    """Write rows of the model's features as raw bytes."""
    features = np.full((rows, FEATURES), np.nan, dtype="<f4")
    features[:, 0] = first_feature
    header = {"name": "features", "datatype": "FP32", "shape": [rows, FEATURES]}
    return {"inputs": [header], "raw_input_contents": [b64encode(features.tobytes()).decode()]}


def inferred(*, version: str = "", rows: int = 1, **rest: Any) -> Provoked:
    """Ask a model about rows of features, unless `request` says otherwise."""
    request = {"model_name": MODEL, "model_version": version, **tensor(rows), **rest.pop("request", {})}
    return Provoked(request=request, **rest)


INFERRING: Final[dict[Row, Cell]] = {
    Row.UNREADABLE: UNREADABLE,
    Row.FIELD: inferred(
        request={"inputs": [{"name": "balls", "datatype": "FP32", "shape": [1, 1]}]},
        reason="INVALID_FIELD",
        says="must be",
        fields=("inputs[0].name", "inputs[0].shape"),
    ),
    Row.MISSING: inferred(request={"model_name": "home_runs"}, reason="MODEL_NOT_FOUND", says="there are: "),
    Row.AMBIGUOUS: AS_AN_ANSWER,
    Row.STATE: NO_DEMANDS,
    Row.NOT_LOADED: inferred(version=str(BROKEN), reason="MODEL_NOT_LOADED", says="not loaded: "),
    Row.QUEUE: inferred(
        server="crowded",
        reason="QUEUE_FULL",
        says="try again",
        crowd=Crowd(
            rpc="inference.GRPCInferenceService/ModelInfer", request={"model_name": MODEL, **tensor(ROWS_A_RUN)}
        ),
    ),
    Row.RATE: inferred(server="strict", reason="RATE_EXCEEDED", says="try again in ", again=20),
    Row.LATE: inferred(
        rows=ROWS_A_RUN,
        request={"parameters": {"timeout": {"int64_param": "1"}}},  # microseconds
        reason="DEADLINE_EXCEEDED",
        says=" ms are left",
    ),
    Row.WHO: ANYONE,
    Row.NOT_YOURS: ANYONE,
    Row.FAULT: inferred(version="fragile", request=tensor(1, FATAL_SPEED), reason="INTERNAL", says=INTERNAL_TEXT),
}
INFERRING_IN_A_STREAM: Final[dict[Row, Cell]] = {
    row: replace(cell, text_alone=IN_MESSAGE) if isinstance(cell, Provoked) and row is not Row.UNREADABLE else cell
    for row, cell in INFERRING.items()
}


DESCRIBING: Final[dict[Row, Cell]] = {
    **TELLING,
    Row.FIELD: Provoked(reason="INVALID_FIELD", says="is required", fields=("name",)),
    Row.MISSING: Provoked(request={"name": "home_runs"}, reason="MODEL_NOT_FOUND", says="there are: "),
    Row.NOT_LOADED: Provoked(
        request={"name": MODEL, "version": str(BROKEN)}, reason="MODEL_NOT_LOADED", says="not loaded: "
    ),
}


def loading(not_loaded: Cell) -> dict[Row, Cell]:
    """Say how an rpc ends that has a model loaded or unloaded."""
    one = {"model_name": MODEL}
    return {
        **MOVING,
        Row.FIELD: Provoked(
            request={"repository_name": "other"}, reason="INVALID_FIELD", says="must be", fields=("repository_name",)
        ),
        Row.MISSING: Provoked(request={"model_name": "home_runs"}, reason="MODEL_NOT_FOUND", says="there are: "),
        Row.NOT_LOADED: not_loaded,
        Row.WHO: Provoked(request=one, server="strict", reason="NOT_IDENTIFIED", says="connect with the client"),
        Row.NOT_YOURS: Provoked(request=one, server="secured", reason="NOT_OPERATOR", says="ONDECK_OPERATORS"),
        Row.FAULT: "whatever is wrong with a version is why it is not loaded",
    }


OPEN_INFERENCE: Final = {
    f"inference.GRPCInferenceService/{rpc}": cells
    for rpc, cells in {
        "ServerLive": TELLING,
        "ServerReady": TELLING,
        "ServerMetadata": TELLING,
        "ModelReady": {
            **TELLING,
            Row.FIELD: "any text is a model that is ready, or one that is not",
            Row.MISSING: "a model that there is not is not ready: that is the answer",
            Row.NOT_LOADED: "a version that is not loaded is not ready: that is the answer",
        },
        "ModelMetadata": DESCRIBING,
        "ModelConfig": DESCRIBING,
        "ModelInfer": INFERRING,
        "ModelStreamInfer": INFERRING_IN_A_STREAM,
        "ModelStatistics": {
            **TELLING,
            Row.FIELD: "no name means all, and any text is a name or none",
            Row.MISSING: Provoked(request={"name": "home_runs"}, reason="MODEL_NOT_FOUND", says="there are: "),
            Row.NOT_LOADED: ANY_STATE,
        },
        "RepositoryIndex": {
            **TELLING,
            Row.FIELD: Provoked(
                request={"repository_name": "other"},
                reason="INVALID_FIELD",
                says="must be",
                fields=("repository_name",),
            ),
            Row.NOT_LOADED: ANY_STATE,
        },
        "RepositoryModelLoad": loading(
            Provoked(request={"model_name": HOLLOW}, reason="MODEL_NOT_LOADED", says="not loaded: ")
        ),
        "RepositoryModelUnload": loading("what is not loaded is as it is asked to be"),
    }.items()
}
TABLE: Final[dict[str, dict[Row, Cell]]] = {
    "ondeck.v1.PredictionService/Predict": ONE,
    "ondeck.v1.PredictionService/BatchPredict": predicting(
        "batted_balls",
        BALLS,
        {"launch_speed": [FATAL_SPEED], "launch_angle": [20]},
        ({"launch_speed": [100, 999], "launch_angle": [20, 20]}, "batted_balls.launch_speed[1]"),
    )
    | {Row.LATE: MORE_THAN_CAN_BE_DONE},
    "ondeck.v1.PredictionService/StreamPredict": {**ONE, Row.LATE: LATE_STREAM},
    "ondeck.v1.PredictionService/Explain": ONE,
    "ondeck.v1.ModelService/ListModels": TELLING,
    "ondeck.v1.ModelService/GetModel": {
        **TELLING,
        Row.FIELD: Provoked(reason="INVALID_FIELD", says="is required", fields=("model.name",)),
        Row.MISSING: asked(reason="VERSION_NOT_FOUND", says="there are: ", version=99),
        Row.NOT_LOADED: ANY_STATE,
    },
    "ondeck.v1.ModelService/MoveAlias": {
        **MOVING,
        Row.FIELD: Provoked(
            request={"alias": "Kandidat!"},
            reason="INVALID_FIELD",
            says="is required",
            fields=("model", "alias", "version", "why"),
        ),
        Row.MISSING: moving({"version": 99}, reason="VERSION_NOT_FOUND", says="there are: 1, 2"),
        Row.STATE: moving({"version": NO_BETTER}, reason="NOT_BETTER", says="force overrules"),
        Row.WHO: moving({"version": 1}, server="strict", reason="NOT_IDENTIFIED", says="connect with the client"),
        Row.NOT_YOURS: moving({"version": 1}, server="secured", reason="NOT_OPERATOR", says="ONDECK_OPERATORS"),
        Row.FAULT: moving(
            {"model": UNREADABLE_ALIASES, "version": 1, "alias": "other"}, reason="INTERNAL", says=INTERNAL_TEXT
        ),
    },
    "ondeck.v1.ModelService/RollbackModel": {
        **MOVING,
        Row.FIELD: Provoked(request={"model": MODEL}, reason="INVALID_FIELD", says="is required", fields=("why",)),
        Row.MISSING: moving({"alias": "champion"}, reason="ALIAS_NOT_FOUND", says="there are: "),
        Row.STATE: moving({"alias": "candidate"}, reason="MOVE_REFUSED", says="no version is on record"),
        Row.WHO: moving({}, server="strict", reason="NOT_IDENTIFIED", says="connect with the client"),
        Row.NOT_YOURS: moving({}, server="secured", reason="NOT_OPERATOR", says="ONDECK_OPERATORS"),
        Row.FAULT: moving({"model": UNREADABLE_ALIASES}, reason="INTERNAL", says=INTERNAL_TEXT),
    },
    "ondeck.v1.ModelService/ListAliasMoves": {
        **MOVING,
        Row.FIELD: Provoked(
            request={"model": MODEL, "page_size": 1001}, reason="INVALID_FIELD", says="must be", fields=("page_size",)
        ),
        Row.MISSING: Provoked(request={"model": "home_runs"}, reason="MODEL_NOT_FOUND", says="there are: "),
        Row.FAULT: Provoked(request={"model": UNREADABLE_ALIASES}, reason="INTERNAL", says=INTERNAL_TEXT),
    },
    "ondeck.v1.PlayerService/ResolvePlayers": {
        **PEOPLE,
        Row.FIELD: Provoked(
            request={"questions": [{}, {"name": {"season": 1700}}]},
            reason="INVALID_FIELD",
            says="must be from 1871",
            fields=("questions[0]", "questions[1].name.name", "questions[1].name.season"),
        ),
        Row.MISSING: "nobody who fits is an answer",
        Row.AMBIGUOUS: "several who fit are an answer",
        Row.NOT_LOADED: Provoked(reason="PLAYERS_NOT_LOADED", says="the server's log says"),
    },
    "ondeck.v1.PlayerService/GetPlayer": {
        **PEOPLE,
        Row.FIELD: "any number is a player's or nobody's",
        Row.MISSING: Provoked(
            request={"player_id": 4}, server="crowded", reason="PLAYER_NOT_FOUND", says="no player '4'"
        ),
        Row.NOT_LOADED: Provoked(request={"player_id": 4}, reason="PLAYERS_NOT_LOADED", says="the server's log says"),
    },
    "ondeck.v1.PlayerService/SearchPlayers": {
        **PEOPLE,
        Row.FIELD: Provoked(
            request={"page_size": 101, "page_token": "x"},
            reason="INVALID_FIELD",
            says="must be",
            fields=("text", "page_size", "page_token"),
        ),
        Row.MISSING: "nobody who fits is an answer",
    },
    **OPEN_INFERENCE,
    "grpc.health.v1.Health/Check": {
        **TELLING,
        Row.FIELD: "any text is a name or none",
        Row.MISSING: Provoked(request={"service": "models/x"}, reason="SERVICE_NOT_FOUND", says="there are: "),
    },
    "grpc.health.v1.Health/Watch": {
        **TELLING,
        Row.FIELD: "any text is a name or none",
        Row.MISSING: "a name that there is not is told as SERVICE_UNKNOWN: there may be one later",
        Row.LATE: Provoked(reason="", says="", seconds=0.3),
    },
    "grpc.health.v1.Health/List": TELLING,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": NOWHERE,
}
