"""Instance types (pitch, batted ball) and their validation. Instances are rows of a float32 matrix, a column per field.

NaN is a missing value. A categorical field holds the number of its code (`ondeck_core.categories`). Values are
converted to float32 before any feature is computed, as in messages and in the database, so training and serving
compute the same features.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ondeck_core.categories import InfieldAlignment, OutfieldAlignment, Park, PitchType, Side
from ondeck_core.errors import InvalidInstanceError, Violation

Matrix = NDArray[np.float32]
_MAX_DETAILED_FIELDS: Final = 12  # of more invalid fields each is reported once: the error must fit into the trailers
MAX_REPORTED_ROWS: Final = 3  # per invalid field; the error counts the rest


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of an instance: Statcast's name, the unit, the valid range, and whether it is required."""

    name: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    required: bool = False
    integer: bool = False
    flag: bool = False
    codes: type[IntEnum] | None = None

    @property
    def allowed_values(self) -> str:
        """Description of the valid values."""
        if self.flag:
            return "true or false (1 or 0 in a column)"
        kind = "a whole number" if self.integer else "a number"
        unit = f" ({self.unit})" if self.unit else ""
        return f"{kind} from {self.low:g} to {self.high:g}{unit}"


class Limits(NamedTuple):
    """Valid values of the columns of a matrix, each of shape (fields,). A categorical column has no limits."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    required: NDArray[np.bool_]
    integer: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """An ordered list of fields; `message` is its protobuf message, `path` the request field that contains it."""

    message: str
    path: str
    columns_path: str
    fields: tuple[Field, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in the order of the columns."""
        return tuple(field.name for field in self.fields)

    def index(self, name: str) -> int:
        """Return the column number of a field."""
        return self.names.index(name)

    @cached_property
    def limits(self) -> Limits:
        """Valid values of each column."""
        numeric = np.array([field.codes is None for field in self.fields])
        return Limits(
            low=np.where(numeric, [field.low for field in self.fields], -np.inf).astype(np.float32),
            high=np.where(numeric, [field.high for field in self.fields], np.inf).astype(np.float32),
            required=numeric & [field.required for field in self.fields],
            integer=numeric & [field.integer for field in self.fields],
        )

    def matrix(self, columns: Mapping[str, NDArray[np.generic]], rows: int) -> Matrix:
        """Arrange columns by name in a matrix of shape (rows, fields); a missing column is NaN."""
        out = np.full((rows, len(self.fields)), np.nan, dtype=np.float32)
        for position, field in enumerate(self.fields):
            if field.name in columns:
                out[:, position] = columns[field.name]
        return out


def _side(name: str) -> Field:
    return Field(name=name, codes=Side)


_OUTS: Final = Field(name="outs_when_up", low=0, high=2, integer=True)
_BASES: Final = tuple(Field(name=name, low=0, high=1, integer=True, flag=True) for name in ("on_1b", "on_2b", "on_3b"))
_PARK: Final = Field(name="park", codes=Park)


PITCH: Final = InstanceType(
    message="Pitch",
    path="pitch",
    columns_path="pitches",
    fields=(
        Field(name="plate_x", unit="ft", low=-20, high=20, required=True),
        Field(name="plate_z", unit="ft", low=-20, high=20, required=True),
        Field(name="sz_top", unit="ft", low=1, high=6),
        Field(name="sz_bot", unit="ft", low=0, high=4),
        Field(name="release_speed", unit="mph", low=15, high=115),
        Field(name="pfx_x", unit="ft", low=-5, high=5),
        Field(name="pfx_z", unit="ft", low=-5, high=5),
        Field(name="balls", low=0, high=3, integer=True),
        Field(name="strikes", low=0, high=2, integer=True),
        _side("stand"),
        _side("p_throws"),
        Field(name="pitch_type", codes=PitchType),
        Field(name="release_pos_x", unit="ft", low=-15, high=15),
        Field(name="release_pos_z", unit="ft", low=-5, high=15),
        Field(name="release_extension", unit="ft", low=0, high=15),
        Field(name="release_spin_rate", unit="rpm", low=0, high=6000),
        Field(name="spin_axis", unit="degrees", low=0, high=360),
        Field(name="arm_angle", unit="degrees", low=-180, high=180),
        Field(name="vx0", unit="ft/s", low=-50, high=50),
        Field(name="vy0", unit="ft/s", low=-200, high=0),
        Field(name="vz0", unit="ft/s", low=-60, high=60),
        Field(name="ax", unit="ft/s2", low=-100, high=100),
        Field(name="ay", unit="ft/s2", low=-100, high=200),
        Field(name="az", unit="ft/s2", low=-150, high=100),
        Field(name="inning", low=1, high=50, integer=True),
        _OUTS,
        *_BASES,
        Field(name="bat_score", unit="runs", low=0, high=100, integer=True),
        Field(name="fld_score", unit="runs", low=0, high=100, integer=True),
        Field(name="n_thruorder_pitcher", low=1, high=20, integer=True),
        Field(name="pitch_number", low=1, high=50, integer=True),
        _PARK,
    ),
)

BATTED_BALL: Final = InstanceType(
    message="BattedBall",
    path="batted_ball",
    columns_path="batted_balls",
    fields=(
        Field(name="launch_speed", unit="mph", low=0, high=130, required=True),
        Field(name="launch_angle", unit="degrees", low=-90, high=90, required=True),
        Field(name="hc_x", unit="hit coordinates", low=-50, high=300),
        Field(name="hc_y", unit="hit coordinates", low=-50, high=300),
        Field(name="spray_angle", unit="degrees", low=-180, high=180),
        _side("stand"),
        _side("p_throws"),
        _PARK,
        Field(name="if_fielding_alignment", codes=InfieldAlignment),
        Field(name="of_fielding_alignment", codes=OutfieldAlignment),
        _OUTS,
        *_BASES,
    ),
)

INSTANCE_TYPES: Final = (PITCH, BATTED_BALL)


def valid_mask(instance: InstanceType, matrix: Matrix) -> NDArray[np.bool_]:
    """Return for each row of a matrix of shape (n, fields) whether it is valid."""
    invalid: NDArray[np.bool_] = np.logical_or.reduce(_invalid_cells(instance, matrix), axis=1)
    for _, clash, _ in _contradictions(instance, matrix):
        invalid |= clash
    return ~invalid


def validate(instance: InstanceType, matrix: Matrix, *, path: str, name_rows: bool) -> None:
    """Check every row of a matrix of shape (n, fields); see `violations` for the parameters.

    Raises:
        InvalidInstanceError: a row is invalid.
    """
    if not valid_mask(instance, matrix).all():
        raise InvalidInstanceError(violations(instance, matrix, path=path, name_rows=name_rows))


def violations(instance: InstanceType, matrix: Matrix, *, path: str, name_rows: bool) -> list[Violation]:
    """List the violations in a matrix of shape (n, fields).

    `path` is the request field that contains the instances. With `name_rows` a violation names its row; of many rows
    with the same violation only the first few are named and the rest are counted.
    """
    faults = [
        (field.name, np.flatnonzero(invalid), partial(_describe_fault, field, column))
        for field, invalid, column in zip(instance.fields, _invalid_cells(instance, matrix).T, matrix.T, strict=True)
    ] + [
        (name, np.flatnonzero(clash), partial(_fixed_text, text))
        for name, clash, text in _contradictions(instance, matrix)
    ]
    report = _report_rows if sum(bool(len(rows)) for _, rows, _ in faults) <= _MAX_DETAILED_FIELDS else _report_once
    return [
        violation
        for name, rows, describe in faults
        for violation in report(f"{path}.{name}", rows, describe, name_rows=name_rows)
    ]


def _report_rows(
    field: str, rows: NDArray[np.intp], describe: Callable[[int], str], *, name_rows: bool
) -> Iterator[Violation]:
    for row in rows[:MAX_REPORTED_ROWS].tolist():
        yield Violation(f"{field}[{row}]" if name_rows else field, describe(row))
    if len(rows) > MAX_REPORTED_ROWS:
        yield Violation(field, f"is invalid in another {len(rows) - MAX_REPORTED_ROWS} rows")


def _report_once(
    field: str, rows: NDArray[np.intp], describe: Callable[[int], str], *, name_rows: bool
) -> Iterator[Violation]:
    if len(rows):
        others = f" (and {len(rows) - 1} rows more)" if name_rows and len(rows) > 1 else ""
        yield Violation(field, describe(int(rows[0])) + others)


def _invalid_cells(instance: InstanceType, matrix: Matrix) -> NDArray[np.bool_]:
    """Return which cells are out of range, not integers, or missing although required; NaN fails no comparison."""
    low, high, required, integer = instance.limits
    out_of_range: NDArray[np.bool_] = (matrix < low) | (matrix > high)
    return out_of_range | (integer & (matrix > np.floor(matrix))) | (required & np.isnan(matrix))


def _describe_fault(field: Field, column: NDArray[np.float32], row: int) -> str:
    value = float(column[row])
    if np.isnan(value):
        return f"is required: {field.allowed_values}"
    return f"must be {field.allowed_values}, got {value:g}"


def _fixed_text(text: str, _: int) -> str:
    return text


def _contradictions(instance: InstanceType, matrix: Matrix) -> Sequence[tuple[str, NDArray[np.bool_], str]]:
    """List the fields that contradict other fields: (field, invalid rows, description)."""
    if instance is PITCH:
        top, bottom = (matrix[:, instance.index(name)] for name in ("sz_top", "sz_bot"))
        return [("sz_top", top <= bottom, "must be above sz_bot")]
    if instance is BATTED_BALL:
        has_value = ~np.isnan(matrix)
        x, y, angle = (has_value[:, instance.index(name)] for name in ("hc_x", "hc_y", "spray_angle"))
        return [
            ("spray_angle", angle & (x | y), "give the direction once: spray_angle, or hc_x and hc_y"),
            ("hc_y", x > y, "is required together with hc_x"),
            ("hc_x", y > x, "is required together with hc_y"),
        ]
    return []
