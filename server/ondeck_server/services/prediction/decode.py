"""Messages to values: what a caller sent, as instances and as the model that is meant."""

import math
from typing import Any, Final

import numpy as np

from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    ExplainRequest,
    PredictRequest,
    StreamPredictRequest,
)
from ondeck_core.errors import InvalidInstanceError, Violation, WrongInstanceError
from ondeck_core.instances import INSTANCE_TYPES, InstanceType, Matrix, violations
from ondeck_core.tasks import Task
from ondeck_server.models.catalog import ModelRef

_BY_PATH: Final = {instance.path: instance for instance in INSTANCE_TYPES}
_BY_COLUMNS_PATH: Final = {instance.columns_path: instance for instance in INSTANCE_TYPES}
_NAN: Final = math.nan


def wanted(spec: ModelSpec) -> ModelRef:
    """Read which model is meant.

    Raises:
        InvalidInstanceError: no model is named.
    """
    if not spec.name:
        raise InvalidInstanceError([Violation("model.name", "is required, for example 'batted_ball'")])
    choice = spec.WhichOneof("choice")
    if choice == "version":
        return ModelRef(model=spec.name, version=spec.version)
    return ModelRef(model=spec.name, alias=spec.alias if choice == "alias" else None)


def instance_of(request: PredictRequest | StreamPredictRequest | ExplainRequest, task: Task) -> Matrix:
    """Read the one instance of a request as a matrix of shape (1, fields).

    Raises:
        WrongInstanceError: it is not what the task takes.
        InvalidInstanceError: there is none, or a field is set to something that is not finite.
    """
    path = request.WhichOneof("instance")
    _expect(task, path, task.instance.path, _BY_PATH)
    values, not_finite = _row(getattr(request, task.instance.path), task.instance)
    instance = np.array([values], dtype=np.float32)
    if not_finite:
        told = {each.field for each in not_finite}
        others = violations(task.instance, instance, path=task.instance.path, rows_named=False)
        raise InvalidInstanceError([*not_finite, *(each for each in others if each.field not in told)])
    return instance


def columns_of(request: BatchPredictRequest, task: Task, most_rows: int) -> Matrix:
    """Read the columns of a request as a matrix of shape (rows, fields); NaN and empty columns are absent.

    Raises:
        WrongInstanceError: they are not what the task takes.
        InvalidInstanceError: there are none, they are not of one length, or there are more than `most_rows`.
    """
    path = request.WhichOneof("columns")
    _expect(task, path, task.instance.columns_path, _BY_COLUMNS_PATH)
    message = getattr(request, task.instance.columns_path)
    columns = {name: getattr(message, name) for name in task.instance.names}
    lengths = {name: len(column) for name, column in columns.items() if len(column)}
    if not lengths:
        raise InvalidInstanceError([Violation(task.instance.columns_path, "at least one row is required")])
    rows = max(lengths.values())
    uneven = [
        Violation(f"{task.instance.columns_path}.{name}", f"has {length} values where other columns have {rows}")
        for name, length in lengths.items()
        if length != rows
    ]
    if uneven:
        raise InvalidInstanceError(uneven)
    if rows > most_rows:
        text = f"has {rows} rows; the answer to more than {most_rows} is larger than a message may be: ask in parts"
        raise InvalidInstanceError([Violation(task.instance.columns_path, text)])
    return task.instance.matrix({name: np.fromiter(columns[name], np.float32, rows) for name in lengths}, rows)


def _expect(task: Task, path: str | None, expected: str, known: dict[str, InstanceType]) -> None:
    if path is None:
        raise InvalidInstanceError([Violation(expected, f"is required: model {task.name!r} takes {expected}")])
    if path != expected:
        takes, got = task.instance.message, known[path].message
        raise WrongInstanceError(path, task.name, takes, got)


def _row(message: Any, instance: InstanceType) -> tuple[list[float], list[Violation]]:  # noqa: ANN401  its fields are asked for by name
    values, not_finite = [], []
    for field in instance.fields:
        name = field.name
        if field.codes is None and not message.HasField(name):
            values.append(_NAN)
            continue
        value = getattr(message, name)
        values.append(value)
        if not math.isfinite(value):
            text = f"must be {field.allowed_values}, got {value}; leave it unset where it is absent"
            not_finite.append(Violation(f"{instance.path}.{name}", text))
    return values, not_finite
