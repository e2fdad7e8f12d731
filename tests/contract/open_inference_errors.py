"""The error table of the Open Inference Protocol."""

from base64 import b64encode
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ondeck_core.tasks import TASKS
from ondeck_server.batching.batcher import INTERACTIVE_ROWS, MAX_BATCH_ROWS
from ondeck_server.rpc.errors import INTERNAL_TEXT
from tests.contract.expected_error_statuses import (
    ANY_STATE,
    CHANGES,
    IS_A_RESPONSE,
    NO_AUTHORIZATION,
    NO_PRECONDITIONS,
    READS,
    UNREADABLE,
    Cell,
    ConcurrentLoad,
    ErrorCase,
    Row,
)
from tests.factories.broken_models import BROKEN, BROKEN_MODEL, FATAL_SPEED, MODEL

FEATURES: Final = len(TASKS[MODEL].features.names)
MESSAGE_ONLY: Final = "ModelStreamInferResponse has an error_message and no field for a status or details"


def tensor(rows: int, first_feature: float = 100) -> dict[str, Any]:
    """Return a request with rows of features as raw bytes."""
    features = np.full((rows, FEATURES), np.nan, dtype="<f4")
    features[:, 0] = first_feature
    header = {"name": "features", "datatype": "FP32", "shape": [rows, FEATURES]}
    return {"inputs": [header], "raw_input_contents": [b64encode(features.tobytes()).decode()]}


def inference_case(*, version: str = "", rows: int = 1, **rest: Any) -> ErrorCase:
    """Return a call of ModelInfer; `request` overrides its fields."""
    request = {"model_name": MODEL, "model_version": version, **tensor(rows), **rest.pop("request", {})}
    return ErrorCase(request=request, **rest)


INFERENCE: Final[dict[Row, Cell]] = {
    Row.UNREADABLE: UNREADABLE,
    Row.FIELD: inference_case(
        request={"inputs": [{"name": "balls", "datatype": "FP32", "shape": [1, 1]}]},
        reason="INVALID_FIELD",
        message="must be",
        fields=("inputs[0].name", "inputs[0].shape"),
    ),
    Row.MISSING: inference_case(request={"model_name": "home_runs"}, reason="MODEL_NOT_FOUND", message="available: "),
    Row.AMBIGUOUS: IS_A_RESPONSE,
    Row.STATE: NO_PRECONDITIONS,
    Row.NOT_LOADED: inference_case(version=str(BROKEN), reason="MODEL_NOT_LOADED", message="not loaded: "),
    Row.QUEUE: inference_case(
        server="small_queue",
        version="slow",
        reason="QUEUE_FULL",
        message="try again",
        load=ConcurrentLoad(
            rpc="inference.GRPCInferenceService/ModelInfer",
            request={"model_name": MODEL, "model_version": "slow", **tensor(INTERACTIVE_ROWS)},
        ),
    ),
    Row.RATE: inference_case(server="limited", reason="RATE_EXCEEDED", message="try again in ", attempts=20),
    Row.LATE: inference_case(
        rows=MAX_BATCH_ROWS,
        request={"parameters": {"timeout": {"int64_param": "1"}}},  # microseconds
        reason="DEADLINE_EXCEEDED",
        message=" ms are left",
    ),
    Row.UNAUTHENTICATED: NO_AUTHORIZATION,
    Row.PERMISSION: NO_AUTHORIZATION,
    Row.FAULT: inference_case(
        version="fragile", request=tensor(1, FATAL_SPEED), reason="INTERNAL", message=INTERNAL_TEXT
    ),
}
STREAM_INFERENCE: Final[dict[Row, Cell]] = {
    row: replace(cell, message_only=MESSAGE_ONLY) if isinstance(cell, ErrorCase) and row is not Row.UNREADABLE else cell
    for row, cell in INFERENCE.items()
}


DESCRIPTIONS: Final[dict[Row, Cell]] = {
    **READS,
    Row.FIELD: ErrorCase(reason="INVALID_FIELD", message="is required", fields=("name",)),
    Row.MISSING: ErrorCase(request={"name": "home_runs"}, reason="MODEL_NOT_FOUND", message="available: "),
    Row.NOT_LOADED: ErrorCase(
        request={"name": MODEL, "version": str(BROKEN)}, reason="MODEL_NOT_LOADED", message="not loaded: "
    ),
}


def load_rows(not_loaded: Cell) -> dict[Row, Cell]:
    """Return the rows of an rpc that loads or unloads a model."""
    request = {"model_name": MODEL}
    return {
        **CHANGES,
        Row.FIELD: ErrorCase(
            request={"repository_name": "other"}, reason="INVALID_FIELD", message="must be", fields=("repository_name",)
        ),
        Row.MISSING: ErrorCase(request={"model_name": "home_runs"}, reason="MODEL_NOT_FOUND", message="available: "),
        Row.NOT_LOADED: not_loaded,
        Row.UNAUTHENTICATED: ErrorCase(
            request=request, server="limited", reason="CALLER_UNAUTHENTICATED", message="connect with the client"
        ),
        Row.PERMISSION: ErrorCase(request=request, server="tls", reason="NOT_OPERATOR", message="ONDECK_OPERATORS"),
        Row.FAULT: "any error of a version is the reason why it is not loaded",
    }


OPEN_INFERENCE: Final = {
    f"inference.GRPCInferenceService/{rpc}": cells
    for rpc, cells in {
        "ServerLive": READS,
        "ServerReady": READS,
        "ServerMetadata": READS,
        "ModelReady": {
            **READS,
            Row.FIELD: "any text is a name, known or not",
            Row.MISSING: "an unknown model is not ready, which is a response",
            Row.NOT_LOADED: "a version that is not loaded is not ready, which is a response",
        },
        "ModelMetadata": DESCRIPTIONS,
        "ModelConfig": DESCRIPTIONS,
        "ModelInfer": INFERENCE,
        "ModelStreamInfer": STREAM_INFERENCE,
        "ModelStatistics": {
            **READS,
            Row.FIELD: "an empty name selects all, and any text is a name, known or not",
            Row.MISSING: ErrorCase(request={"name": "home_runs"}, reason="MODEL_NOT_FOUND", message="available: "),
            Row.NOT_LOADED: ANY_STATE,
        },
        "RepositoryIndex": {
            **READS,
            Row.FIELD: ErrorCase(
                request={"repository_name": "other"},
                reason="INVALID_FIELD",
                message="must be",
                fields=("repository_name",),
            ),
            Row.NOT_LOADED: ANY_STATE,
        },
        "RepositoryModelLoad": load_rows(
            ErrorCase(request={"model_name": BROKEN_MODEL}, reason="MODEL_NOT_LOADED", message="not loaded: ")
        ),
        "RepositoryModelUnload": load_rows("a model that is not loaded needs no unload"),
    }.items()
}
