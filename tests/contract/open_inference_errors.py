"""The rpcs of the Open Inference Protocol through every row of the error table."""

from base64 import b64encode
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ondeck_core.tasks import TASKS
from ondeck_server.batching.batcher import MAX_BATCH_ROWS
from ondeck_server.rpc.errors import INTERNAL_TEXT
from tests.contract.error_rows import (
    ANY_STATE,
    ANYONE,
    AS_AN_ANSWER,
    MOVING,
    NO_DEMANDS,
    TELLING,
    UNREADABLE,
    Cell,
    Crowd,
    Provoked,
    Row,
)
from tests.factories.broken_models import BROKEN, BROKEN_MODEL, FATAL_SPEED, MODEL

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
        version="slow",
        reason="QUEUE_FULL",
        says="try again",
        crowd=Crowd(
            rpc="inference.GRPCInferenceService/ModelInfer",
            request={"model_name": MODEL, "model_version": "slow", **tensor(MAX_BATCH_ROWS)},
        ),
    ),
    Row.RATE: inferred(server="strict", reason="RATE_EXCEEDED", says="try again in ", again=20),
    Row.LATE: inferred(
        rows=MAX_BATCH_ROWS,
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
        Row.WHO: Provoked(
            request=one, server="strict", reason="CALLER_UNAUTHENTICATED", says="connect with the client"
        ),
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
            Provoked(request={"model_name": BROKEN_MODEL}, reason="MODEL_NOT_LOADED", says="not loaded: ")
        ),
        "RepositoryModelUnload": loading("what is not loaded is as it is asked to be"),
    }.items()
}
