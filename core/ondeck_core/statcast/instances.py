"""From typed Statcast rows to instances: the training side of what a message is in serving."""

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.instances import Field, InstanceType, Matrix


def instances_of(rows: pl.DataFrame, instance: InstanceType) -> Matrix:
    """Lay out rows of the contract as instances of shape (rows, fields); a field Statcast lacks is absent."""
    columns: Mapping[str, NDArray[np.generic]] = {
        field.name: _column(rows[field.name], field) for field in instance.fields if field.name in rows.columns
    }
    return instance.matrix(columns, rows.height)


def _column(values: pl.Series, field: Field) -> NDArray[np.float32]:
    numbers = values if field.codes is None else _codes(values, field.codes)
    return numbers.cast(pl.Float32).fill_null(float("nan")).to_numpy().astype(np.float32)


def _codes(values: pl.Series, codes: type[IntEnum]) -> pl.Series:
    return values.replace_strict({code.name: int(code) for code in codes}, default=None, return_dtype=pl.Int32)
