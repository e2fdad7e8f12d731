"""Requests to values: the instances and the model reference."""

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
from ondeck_server.models.version_resolution import ModelRef

_BY_PATH: Final = {instance.path: instance for instance in INSTANCE_TYPES}
_BY_COLUMNS_PATH: Final = {instance.columns_path: instance for instance in INSTANCE_TYPES}
_NAN: Final = math.nan


def model_ref(spec: ModelSpec) -> ModelRef:
    """Return the model version that a request names.

    Raises:
        InvalidInstanceError: it names no model.
    """
    if not spec.name:
        raise InvalidInstanceError([Violation("model.name", "is required, for example 'batted_ball'")])
    choice = spec.WhichOneof("choice")
    if choice == "version":
        return ModelRef(model=spec.name, version=spec.version)
    return ModelRef(model=spec.name, alias=spec.alias if choice == "alias" else None)


def decode_instance(request: PredictRequest | StreamPredictRequest | ExplainRequest, task: Task) -> Matrix:
    """Return the instance of a request as a matrix of shape (1, fields).

    Raises:
        WrongInstanceError: it is of another type than the task takes.
        InvalidInstanceError: there is none, or a field that is set is not finite.
    """
    path = request.WhichOneof("instance")
    _check_type(task, path, task.instance.path, _BY_PATH)
    values, not_finite = _row(getattr(request, task.instance.path), task.instance)
    instance = np.array([values], dtype=np.float32)
    if not_finite:
        named = {each.field for each in not_finite}
        others = violations(task.instance, instance, path=task.instance.path, name_rows=False)
        raise InvalidInstanceError([*not_finite, *(each for each in others if each.field not in named)])
    return instance


def decode_columns(request: BatchPredictRequest, task: Task, max_rows: int) -> Matrix:
    """Return the columns of a request as a matrix of shape (rows, fields); NaN and empty columns are absent values.

    Raises:
        WrongInstanceError: they are of another type than the task takes.
        InvalidInstanceError: there are none, their lengths differ, or there are more than `max_rows` rows.
    """
    path = request.WhichOneof("columns")
    _check_type(task, path, task.instance.columns_path, _BY_COLUMNS_PATH)
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
    if rows > max_rows:
        text = f"has {rows} rows; a response to more than {max_rows} exceeds the maximum message size: send fewer rows"
        raise InvalidInstanceError([Violation(task.instance.columns_path, text)])
    return task.instance.matrix({name: np.fromiter(columns[name], np.float32, rows) for name in lengths}, rows)


def _check_type(task: Task, path: str | None, expected: str, known: dict[str, InstanceType]) -> None:
    if path is None:
        raise InvalidInstanceError([Violation(expected, f"is required: model {task.name!r} takes {expected}")])
    if path != expected:
        takes, got = task.instance.message, known[path].message
        raise WrongInstanceError(path, task.name, takes, got)


def _row(message: Any, instance: InstanceType) -> tuple[list[float], list[Violation]]:  # noqa: ANN401  fields are read by name
    values, not_finite = [], []
    for field in instance.fields:
        name = field.name
        if field.codes is None and not message.HasField(name):
            values.append(_NAN)
            continue
        value = getattr(message, name)
        values.append(value)
        if not math.isfinite(value):
            text = f"must be {field.allowed_values}, got {value}; leave the field unset if the value is absent"
            not_finite.append(Violation(f"{instance.path}.{name}", text))
    return values, not_finite
