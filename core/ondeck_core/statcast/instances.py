"""From typed Statcast rows to instances: the training side of what a message is in serving."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.instances import Field, InstanceType, Matrix
from ondeck_core.statcast.home_parks import park_code

_BASES: Final = ("on_1b", "on_2b", "on_3b")
_WORDS: Final = {
    "if_fielding_alignment": {"Standard": 1, "Strategic": 2, "Infield shade": 3, "Infield shift": 4},
    "of_fielding_alignment": {"Standard": 1, "Strategic": 2, "4th outfielder": 3},
}
_PARK: Final = "park"
_NOT_IN_STATCAST: Final = frozenset({"spray_angle", _PARK})
_PARK_FROM: Final = ("home_team", "game_year")


def columns_of(instance: InstanceType) -> tuple[str, ...]:
    """Name the columns of the contract that instances of a type are made of."""
    own = [name for name in instance.names if name not in _NOT_IN_STATCAST]
    return (*own, *(_PARK_FROM if _PARK in instance.names else ()))


def instances_of(rows: pl.DataFrame, instance: InstanceType) -> Matrix:
    """Lay out rows of the contract as instances of shape (rows, fields); a field Statcast lacks is absent.

    A base is 1 where Statcast names a runner, else 0; a park is that of the home team in that season.
    """
    placed = rows.with_columns(park_code().alias(_PARK)) if set(_PARK_FROM) <= set(rows.columns) else rows
    columns: Mapping[str, NDArray[np.generic]] = {
        field.name: _column(placed[field.name], field) for field in instance.fields if field.name in placed.columns
    }
    return instance.matrix(columns, rows.height)


def _column(values: pl.Series, field: Field) -> NDArray[np.float32]:
    numbers = values.is_not_null() if field.name in _BASES else _numbers(values, field)
    return numbers.cast(pl.Float32).fill_null(float("nan")).to_numpy().astype(np.float32)


def _numbers(values: pl.Series, field: Field) -> pl.Series:
    if field.codes is None or values.dtype.is_numeric():
        return values
    return values.replace_strict(_WORDS.get(field.name, _codes(field.codes)), default=None, return_dtype=pl.Int32)


def _codes(codes: type[IntEnum]) -> dict[str, int]:
    return {code.name: int(code) for code in codes}
