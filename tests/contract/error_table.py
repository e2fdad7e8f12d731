"""Every rpc through every row of the error table: how each is provoked, or why it cannot occur there.

A request is written as JSON is; `bytes` are sent as they are. What is promised of a row stands in `PROMISES`.
"""

from typing import Any, Final

from ondeck_server.batching.batcher import MAX_BATCH_ROWS
from ondeck_server.rpc.errors import INTERNAL_TEXT
from tests.contract.error_rows import (
    ANY_STATE,
    ANYONE,
    AS_AN_ANSWER,
    LATE,
    LATE_STREAM,
    MOVING,
    NO_DEMANDS,
    NOWHERE,
    TELLING,
    UNREADABLE,
    Cell,
    Crowd,
    Provoked,
    Row,
)
from tests.contract.open_inference_errors import OPEN_INFERENCE
from tests.factories.broken_models import BROKEN, FATAL_SPEED, MODEL, NO_BETTER

BALL: Final = {"launch_speed": 100, "launch_angle": 20}
FATAL: Final = {"launch_speed": FATAL_SPEED, "launch_angle": 20}


def balls(rows: int) -> dict[str, list[float]]:
    """Ask about the same ball so often."""
    return {"launch_speed": [100.0] * rows, "launch_angle": [20.0] * rows}


BALLS: Final = balls(MAX_BATCH_ROWS)
CROWD: Final = Crowd(
    rpc="ondeck.v1.PredictionService/BatchPredict",
    request={"model": {"name": MODEL, "alias": "slow"}, "batted_balls": BALLS},
)


def asked(
    server: str = "broken", *, name: str = MODEL, again: int = 1, crowd: "Crowd | None" = None, **rest: Any
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
        Row.QUEUE: asked("crowded", alias="slow", reason="QUEUE_FULL", says="try again", crowd=CROWD, **{field_: good}),
        Row.RATE: asked("strict", reason="RATE_EXCEEDED", says="try again in ", again=20, **{field_: good}),
        Row.LATE: LATE,
        Row.WHO: ANYONE,
        Row.NOT_YOURS: ANYONE,
        Row.FAULT: asked(reason="INTERNAL", says=INTERNAL_TEXT, alias="fragile", **{field_: fatal}),
    }


MORE_THAN_CAN_BE_DONE: Final = Provoked(
    request={"model": {"name": MODEL, "alias": "slow"}, "batted_balls": balls(90_000)},
    reason="DEADLINE_EXCEEDED",
    says=" ms are left",
    seconds=2,
)
ONE: Final = predicting("batted_ball", BALL, FATAL, ({**BALL, "launch_speed": 999}, "batted_ball.launch_speed"))
PEOPLE: Final[dict[Row, Cell]] = {
    **TELLING,
    Row.NOT_LOADED: Provoked(reason="PLAYERS_NOT_LOADED", says="the server's log says", request={"text": "Boyd"}),
}
REASON: Final = {"reason": "a test"}
UNREADABLE_ALIASES: Final = "torn"  # a model whose aliases.json was torn while the server ran


def moving(request: dict[str, Any], **rest: Any) -> Provoked:
    """Move an alias of a model."""
    return Provoked(request={"model": MODEL, **REASON, **request}, **rest)


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
            fields=("model", "alias", "version", "reason"),
        ),
        Row.MISSING: moving({"version": 99}, reason="VERSION_NOT_FOUND", says="there are: 1, 2"),
        Row.STATE: moving({"version": NO_BETTER}, reason="PROMOTION_GATE_FAILED", says="override the gate"),
        Row.WHO: moving(
            {"version": 1}, server="strict", reason="CALLER_UNAUTHENTICATED", says="connect with the client"
        ),
        Row.NOT_YOURS: moving({"version": 1}, server="secured", reason="NOT_OPERATOR", says="ONDECK_OPERATORS"),
        Row.FAULT: moving(
            {"model": UNREADABLE_ALIASES, "version": 1, "alias": "other"}, reason="INTERNAL", says=INTERNAL_TEXT
        ),
    },
    "ondeck.v1.ModelService/RollbackModel": {
        **MOVING,
        Row.FIELD: Provoked(request={"model": MODEL}, reason="INVALID_FIELD", says="is required", fields=("reason",)),
        Row.MISSING: moving({"alias": "champion"}, reason="ALIAS_NOT_FOUND", says="there are: "),
        Row.STATE: moving({"alias": "candidate"}, reason="NO_PREVIOUS_VERSION", says="no version is on record"),
        Row.WHO: moving({}, server="strict", reason="CALLER_UNAUTHENTICATED", says="connect with the client"),
        Row.NOT_YOURS: moving({}, server="secured", reason="NOT_OPERATOR", says="ONDECK_OPERATORS"),
        Row.FAULT: moving({"model": UNREADABLE_ALIASES}, reason="INTERNAL", says=INTERNAL_TEXT),
    },
    "ondeck.v1.ModelService/ListAliasChanges": {
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
            request={"queries": [{}, {"name": {"season": 1700}}]},
            reason="INVALID_FIELD",
            says="must be from 1871",
            fields=("queries[0]", "queries[1].name.name", "queries[1].name.season"),
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
        Row.LATE: Provoked(reason="DEADLINE_EXCEEDED", says="", seconds=0.3),
    },
    "grpc.health.v1.Health/List": TELLING,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": NOWHERE,
}
