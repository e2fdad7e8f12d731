"""Requests to values: the instances and the model reference."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np

from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    ExplainRequest,
    PredictRequest,
    StreamPredictRequest,
)
from ondeck_core.errors import InvalidInstanceError, OndeckError, Violation, WrongInstanceError
from ondeck_core.instances import INSTANCE_TYPES, InstanceType, Matrix, violations
from ondeck_core.tasks import Task
from ondeck_server.inference.served_predictions import PitchKeys
from ondeck_server.models.version_resolution import ModelRef

_BY_PATH: Final = {instance.path: instance for instance in INSTANCE_TYPES}
_BY_COLUMNS_PATH: Final = {instance.columns_path: instance for instance in INSTANCE_TYPES}
_NAN: Final = math.nan
_KEY_FIELDS: Final = ("game_pk", "at_bat_number", "pitch_number")
_MAX_KEY: Final = 2**31 - 1
_KEY_RANGE: Final = f"must be from 1 to {_MAX_KEY}"


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
    """Return the instance of a request as a matrix of shape (1, fields); it may be invalid.

    Raises:
        WrongInstanceError: it is of another type than the task takes.
        InvalidInstanceError: there is none, or a field that is set is not finite.
    """
    kind = task.instance
    path = request.WhichOneof("instance")
    if path != kind.path:
        raise _wrong_type(task, path, kind.path, _BY_PATH)
    message, reader = getattr(request, path), _READERS[path]
    values = reader.values(message)
    row = list(values)
    for index, name in reader.optional:
        if not row[index] and not message.HasField(name):
            row[index] = _NAN
    instance: Matrix = np.frombuffer(reader.pack(*row), dtype=np.float32).reshape(1, -1)
    if not math.isfinite(sum(values)):
        raise InvalidInstanceError(_non_finite_violations(values, instance, kind))
    return instance


def decode_pitch_key(request: PredictRequest | StreamPredictRequest) -> PitchKeys | None:
    """Return the key of the pitch as a matrix of shape (1, 3); None: the request has none.

    Raises:
        InvalidInstanceError: a number of the key is out of range.
    """
    if not request.HasField("pitch_key"):
        return None
    values = [getattr(request.pitch_key, name) for name in _KEY_FIELDS]
    wrong = [name for name, value in zip(_KEY_FIELDS, values, strict=True) if not 0 < value <= _MAX_KEY]
    if wrong:
        raise InvalidInstanceError([Violation(f"pitch_key.{name}", _KEY_RANGE) for name in wrong])
    return np.array([values], dtype=np.int32)


def check_pitch_keys(request: BatchPredictRequest, rows: int) -> bool:
    """Return whether a request has the keys of pitches.

    Raises:
        InvalidInstanceError: a column of keys has not one value per row.
    """
    if not request.HasField("pitch_keys"):
        return False
    columns = {name: getattr(request.pitch_keys, name) for name in _KEY_FIELDS}
    uneven = [
        Violation(f"pitch_keys.{name}", f"has {len(column)} values for {rows} rows")
        for name, column in columns.items()
        if len(column) != rows
    ]
    if uneven:
        raise InvalidInstanceError(uneven)
    return True


def decode_pitch_keys(request: BatchPredictRequest, rows: slice) -> PitchKeys:
    """Return the keys of some rows as a matrix of shape (rows, 3), zeros where a row has none.

    Raises:
        InvalidInstanceError: a key is incomplete or out of range.
    """
    count = rows.stop - rows.start
    columns = (getattr(request.pitch_keys, name)[rows] for name in _KEY_FIELDS)
    keys = np.column_stack([np.fromiter(column, np.int64, count) for column in columns])
    invalid = ((keys < 1) | (keys > _MAX_KEY)) & keys.any(axis=1, keepdims=True)
    wrong = [
        Violation(f"pitch_keys.{name}[{rows.start + int(column.argmax())}]", _KEY_RANGE)
        for name, column in zip(_KEY_FIELDS, invalid.T, strict=True)
        if column.any()
    ]
    if wrong:
        raise InvalidInstanceError(wrong)
    return keys.astype(np.int32)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """Reads the fields of an instance message: `optional` fields may be absent, a category has a code for that.

    `pack` makes float32; `np.array` of a list costs up to four times as much.
    """

    values: Callable[[Any], tuple[float, ...]]
    optional: tuple[tuple[int, str], ...]
    pack: Callable[..., bytes]


def _reader(kind: InstanceType) -> _Reader:
    return _Reader(
        values=attrgetter(*kind.names),
        optional=tuple((index, field.name) for index, field in enumerate(kind.fields) if not field.codes),
        pack=struct.Struct(f"={len(kind.fields)}f").pack,
    )


_READERS: Final = {kind.path: _reader(kind) for kind in INSTANCE_TYPES}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a request that have values, `rows` values each."""

    instance: InstanceType
    values: Mapping[str, Sequence[float]]
    rows: int

    def matrix(self, rows: slice) -> Matrix:
        """Return some rows as a matrix of shape (rows, fields); NaN and columns without values are absent values."""
        count = rows.stop - rows.start
        columns = {name: np.fromiter(column[rows], np.float32, count) for name, column in self.values.items()}
        return self.instance.matrix(columns, count)


def decode_columns(request: BatchPredictRequest, task: Task, max_rows: int) -> Columns:
    """Return the columns of a request.

    Raises:
        WrongInstanceError: they are of another type than the task takes.
        InvalidInstanceError: there are none, their lengths differ, or there are more than `max_rows` rows.
    """
    path, expected = request.WhichOneof("columns"), task.instance.columns_path
    if path != expected:
        raise _wrong_type(task, path, expected, _BY_COLUMNS_PATH)
    message = getattr(request, path)
    columns = {name: column for name in task.instance.names if (column := getattr(message, name))}
    if not columns:
        raise InvalidInstanceError([Violation(expected, "at least one row is required")])
    rows = max(map(len, columns.values()))
    uneven = [
        Violation(f"{expected}.{name}", f"has {len(column)} values where other columns have {rows}")
        for name, column in columns.items()
        if len(column) != rows
    ]
    if uneven:
        raise InvalidInstanceError(uneven)
    if rows > max_rows:
        text = f"has {rows} rows; a response to more than {max_rows} exceeds the maximum message size: send fewer rows"
        raise InvalidInstanceError([Violation(expected, text)])
    return Columns(instance=task.instance, values=columns, rows=rows)


def _wrong_type(task: Task, path: str | None, expected: str, known: dict[str, InstanceType]) -> OndeckError:
    if path is None:
        return InvalidInstanceError([Violation(expected, f"is required: model {task.name!r} takes {expected}")])
    takes, got = task.instance.message, known[path].message
    return WrongInstanceError(path, task.name, takes, got)


def _non_finite_violations(values: Sequence[float], instance: Matrix, kind: InstanceType) -> list[Violation]:
    """List the violations of an instance, first those of fields that are set to a value that is not finite."""
    not_finite = {
        f"{kind.path}.{field.name}": f"must be {field.allowed_values}, got {value}; "
        "leave the field unset if the value is absent"
        for field, value in zip(kind.fields, values, strict=True)
        if not math.isfinite(value)
    }
    others = violations(kind, instance, path=kind.path, name_rows=False)
    return [
        *(Violation(field, text) for field, text in not_finite.items()),
        *(each for each in others if each.field not in not_finite),
    ]
