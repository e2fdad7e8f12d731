"""The error table: for every rpc and row a call that fails in this way, or why none can.

Requests are in the JSON form of their messages; `bytes` are sent unchanged. `EXPECTED` has the status of each row.
"""

from typing import Any, Final

from ondeck_server.batching.batcher import INTERACTIVE_ROWS, MAX_BATCH_ROWS
from ondeck_server.rpc.errors import INTERNAL_TEXT
from tests.contract.expected_error_statuses import (
    ANY_STATE,
    CHANGES,
    IS_A_RESPONSE,
    LATE,
    LATE_STREAM,
    NO_AUTHORIZATION,
    NO_PRECONDITIONS,
    NOT_APPLICABLE,
    READS,
    UNREADABLE,
    Cell,
    ConcurrentLoad,
    ErrorCase,
    Row,
)
from tests.contract.open_inference_errors import OPEN_INFERENCE
from tests.factories.broken_models import BROKEN, FATAL_SPEED, MODEL, NO_BETTER

BALL: Final = {"launch_speed": 100, "launch_angle": 20}
FATAL: Final = {"launch_speed": FATAL_SPEED, "launch_angle": 20}


def balls(rows: int) -> dict[str, list[float]]:
    """Return columns with the same ball in every row."""
    return {"launch_speed": [100.0] * rows, "launch_angle": [20.0] * rows}


def load(rows: int) -> ConcurrentLoad:
    """Return calls of so many rows."""
    request = {"model": {"name": MODEL, "alias": "slow"}, "batted_balls": balls(rows)}
    return ConcurrentLoad(rpc="ondeck.v1.PredictionService/BatchPredict", request=request)


BALLS: Final = balls(MAX_BATCH_ROWS)
INTERACTIVE_LOAD: Final = load(INTERACTIVE_ROWS)
BULK_LOAD: Final = load(MAX_BATCH_ROWS)


def case_of(
    server: str = "broken", *, name: str = MODEL, attempts: int = 1, load: "ConcurrentLoad | None" = None, **rest: Any
) -> ErrorCase:
    """Return a call that predicts with a model."""
    expected = {key: rest.pop(key) for key in ("reason", "message", "fields") if key in rest}
    choice = {key: rest.pop(key) for key in ("version", "alias") if key in rest}
    request: dict[str, Any] = {"model": {"name": name, **choice}, **rest}
    return ErrorCase(request=request, server=server, attempts=attempts, load=load, **expected)


def queue_case(load: ConcurrentLoad, **rest: Any) -> ErrorCase:
    """Return a call that finds the queue full."""
    return case_of("small_queue", alias="slow", reason="QUEUE_FULL", message="try again", load=load, **rest)


def prediction_rows(field_: str, good: Any, fatal: Any, invalid: tuple[Any, str]) -> dict[Row, Cell]:
    """Return the rows of an rpc that predicts; `field_` is the request field of the instance."""
    return {
        Row.UNREADABLE: UNREADABLE,
        Row.FIELD: case_of(reason="INVALID_FIELD", message="must be", fields=(invalid[1],), **{field_: invalid[0]}),
        Row.MISSING: case_of(reason="MODEL_NOT_FOUND", message="available: ", name="home_runs", **{field_: good}),
        Row.AMBIGUOUS: IS_A_RESPONSE,
        Row.STATE: NO_PRECONDITIONS,
        Row.NOT_LOADED: case_of(reason="MODEL_NOT_LOADED", message="not loaded: ", version=BROKEN, **{field_: good}),
        Row.QUEUE: queue_case(INTERACTIVE_LOAD, **{field_: good}),
        Row.RATE: case_of("limited", reason="RATE_EXCEEDED", message="try again in ", attempts=20, **{field_: good}),
        Row.LATE: LATE,
        Row.UNAUTHENTICATED: NO_AUTHORIZATION,
        Row.PERMISSION: NO_AUTHORIZATION,
        Row.FAULT: case_of(reason="INTERNAL", message=INTERNAL_TEXT, alias="fragile", **{field_: fatal}),
    }


TOO_MANY_ROWS: Final = ErrorCase(
    request={"model": {"name": MODEL, "alias": "slow"}, "batted_balls": balls(90_000)},
    reason="DEADLINE_EXCEEDED",
    message=" ms are left",
    seconds=2,
)
ONE: Final = prediction_rows("batted_ball", BALL, FATAL, ({**BALL, "launch_speed": 999}, "batted_ball.launch_speed"))
PLAYERS: Final[dict[Row, Cell]] = {
    **READS,
    Row.NOT_LOADED: ErrorCase(reason="PLAYERS_NOT_LOADED", message="the server's log has", request={"text": "Boyd"}),
}
REASON: Final = {"reason": "a test"}
UNREADABLE_ALIASES: Final = "torn"  # a model whose aliases.json becomes invalid while the server runs


def change_case(request: dict[str, Any], **rest: Any) -> ErrorCase:
    """Return a call that changes an alias."""
    return ErrorCase(request={"model": MODEL, **REASON, **request}, **rest)


TABLE: Final[dict[str, dict[Row, Cell]]] = {
    "ondeck.v1.PredictionService/Predict": ONE,
    "ondeck.v1.PredictionService/BatchPredict": prediction_rows(
        "batted_balls",
        BALLS,
        {"launch_speed": [FATAL_SPEED], "launch_angle": [20]},
        ({"launch_speed": [100, 999], "launch_angle": [20, 20]}, "batted_balls.launch_speed[1]"),
    )
    | {Row.LATE: TOO_MANY_ROWS, Row.QUEUE: queue_case(BULK_LOAD, batted_balls=BALLS)},
    "ondeck.v1.PredictionService/StreamPredict": {**ONE, Row.LATE: LATE_STREAM},
    "ondeck.v1.PredictionService/Explain": ONE | {Row.QUEUE: queue_case(BULK_LOAD, batted_ball=BALL)},
    "ondeck.v1.ModelService/ListModels": READS,
    "ondeck.v1.ModelService/GetModel": {
        **READS,
        Row.FIELD: ErrorCase(reason="INVALID_FIELD", message="is required", fields=("model.name",)),
        Row.MISSING: case_of(reason="VERSION_NOT_FOUND", message="available: ", version=99),
        Row.NOT_LOADED: ANY_STATE,
    },
    "ondeck.v1.ModelService/MoveAlias": {
        **CHANGES,
        Row.FIELD: ErrorCase(
            request={"alias": "Kandidat!"},
            reason="INVALID_FIELD",
            message="is required",
            fields=("model", "alias", "version", "reason"),
        ),
        Row.MISSING: change_case({"version": 99}, reason="VERSION_NOT_FOUND", message="available: 1, 2"),
        Row.STATE: change_case({"version": NO_BETTER}, reason="PROMOTION_GATE_FAILED", message="override the gate"),
        Row.UNAUTHENTICATED: change_case(
            {"version": 1}, server="limited", reason="CALLER_UNAUTHENTICATED", message="connect with the client"
        ),
        Row.PERMISSION: change_case({"version": 1}, server="tls", reason="NOT_OPERATOR", message="ONDECK_OPERATORS"),
        Row.FAULT: change_case(
            {"model": UNREADABLE_ALIASES, "version": 1, "alias": "other"}, reason="INTERNAL", message=INTERNAL_TEXT
        ),
    },
    "ondeck.v1.ModelService/RollbackModel": {
        **CHANGES,
        Row.FIELD: ErrorCase(
            request={"model": MODEL}, reason="INVALID_FIELD", message="is required", fields=("reason",)
        ),
        Row.MISSING: change_case({"alias": "champion"}, reason="ALIAS_NOT_FOUND", message="available: "),
        Row.STATE: change_case({"alias": "candidate"}, reason="NO_PREVIOUS_VERSION", message="no version is on record"),
        Row.UNAUTHENTICATED: change_case(
            {}, server="limited", reason="CALLER_UNAUTHENTICATED", message="connect with the client"
        ),
        Row.PERMISSION: change_case({}, server="tls", reason="NOT_OPERATOR", message="ONDECK_OPERATORS"),
        Row.FAULT: change_case({"model": UNREADABLE_ALIASES}, reason="INTERNAL", message=INTERNAL_TEXT),
    },
    "ondeck.v1.ModelService/ListAliasChanges": {
        **CHANGES,
        Row.FIELD: ErrorCase(
            request={"model": MODEL, "page_size": 1001},
            reason="INVALID_FIELD",
            message="must be",
            fields=("page_size",),
        ),
        Row.MISSING: ErrorCase(request={"model": "home_runs"}, reason="MODEL_NOT_FOUND", message="available: "),
        Row.FAULT: ErrorCase(request={"model": UNREADABLE_ALIASES}, reason="INTERNAL", message=INTERNAL_TEXT),
    },
    "ondeck.v1.PlayerService/ResolvePlayers": {
        **PLAYERS,
        Row.FIELD: ErrorCase(
            request={"queries": [{}, {"name": {"season": 1700}}]},
            reason="INVALID_FIELD",
            message="must be from 1871",
            fields=("queries[0]", "queries[1].name.name", "queries[1].name.season"),
        ),
        Row.MISSING: "no match is a response",
        Row.AMBIGUOUS: "several matches are a response",
        Row.NOT_LOADED: ErrorCase(reason="PLAYERS_NOT_LOADED", message="the server's log has"),
    },
    "ondeck.v1.PlayerService/GetPlayer": {
        **PLAYERS,
        Row.FIELD: "any number is an id, known or not",
        Row.MISSING: ErrorCase(
            request={"player_id": 4}, server="small_queue", reason="PLAYER_NOT_FOUND", message="no player '4'"
        ),
        Row.NOT_LOADED: ErrorCase(
            request={"player_id": 4}, reason="PLAYERS_NOT_LOADED", message="the server's log has"
        ),
    },
    "ondeck.v1.PlayerService/SearchPlayers": {
        **PLAYERS,
        Row.FIELD: ErrorCase(
            request={"page_size": 101, "page_token": "x"},
            reason="INVALID_FIELD",
            message="must be",
            fields=("text", "page_size", "page_token"),
        ),
        Row.MISSING: "no match is a response",
    },
    **OPEN_INFERENCE,
    "grpc.health.v1.Health/Check": {
        **READS,
        Row.FIELD: "any text is a name, known or not",
        Row.MISSING: ErrorCase(request={"service": "models/x"}, reason="SERVICE_NOT_FOUND", message="available: "),
    },
    "grpc.health.v1.Health/Watch": {
        **READS,
        Row.FIELD: "any text is a name, known or not",
        Row.MISSING: "an unknown name is SERVICE_UNKNOWN: it may become known later",
        Row.LATE: ErrorCase(reason="DEADLINE_EXCEEDED", message="", seconds=0.3),
    },
    "grpc.health.v1.Health/List": READS,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": NOT_APPLICABLE,
}
