"""What an explanation credits: the parts of an instance. A part is a field, or several fields that say one thing.

The direction of a ball is one part, however it is given, under the name `spray_angle`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.explain.shapley import Values
from ondeck_core.features.geometry import spray_angle
from ondeck_core.instances import InstanceType, Matrix

DIRECTION: Final = "spray_angle"
_ON_THE_MAP: Final = ("hc_x", "hc_y")
_TOGETHER: Final = {DIRECTION: (*_ON_THE_MAP, DIRECTION)}  # by the name under which they are reported


@dataclass(frozen=True, kw_only=True)
class FieldGroup:
    """Fields that say one thing: the name under which they are reported, and their columns."""

    name: str
    columns: tuple[int, ...]


def parts_of(instance: InstanceType) -> tuple[FieldGroup, ...]:
    """List the parts of an instance, in the order of the fields that they are named after."""
    groups = {name: fields for name, fields in _TOGETHER.items() if name in instance.names}
    spoken_for = {field for name, fields in groups.items() for field in fields if field != name}
    return tuple(
        FieldGroup(name=name, columns=tuple(instance.index(field) for field in groups.get(name, (name,))))
        for name in instance.names
        if name not in spoken_for
    )


def settled(instance: InstanceType, matrix: Matrix) -> Matrix:
    """Write every code that is not known as NaN, so that what is absent looks absent in each column."""
    out = matrix.copy()
    for position, field in enumerate(instance.fields):
        if field.codes is not None:
            known = np.isin(out[:, position], [code for code in field.codes if code])
            out[~known, position] = np.nan
    return out


def present(part: FieldGroup, matrix: Matrix) -> NDArray[np.bool_]:
    """Tell for each row of a settled matrix whether it says anything of this part."""
    said = np.zeros(len(matrix), dtype=np.bool_)
    for column in part.columns:
        said |= ~np.isnan(matrix[:, column])
    return said


def value_of(part: FieldGroup, instance: InstanceType, row: Matrix) -> float | None:
    """Read what a settled row, of shape (fields,), says of a part; None where it says nothing."""
    value = float(row[instance.index(part.name)])
    if np.isnan(value) and part.name == DIRECTION:
        x, y = (row[[instance.index(name)]].astype(np.float64) for name in _ON_THE_MAP)
        value = float(spray_angle(x, y)[0])
    return None if np.isnan(value) else value


def alike_side_by_side(background: Matrix, inputs: Matrix) -> Matrix:
    """Put the two rows first whose inputs of the model, shape (rows, features), are nearest, then the next two ..."""
    distances = _distances(inputs)
    np.fill_diagonal(distances, np.inf)
    left, order = list(range(len(background))), list[int]()
    while len(left) > 1:
        nearest = int(distances[np.ix_(left, left)].argmin())
        pair = [left[number] for number in divmod(nearest, len(left))]
        order += pair
        left = [row for row in left if row not in pair]
    return background[order + left]


def _distances(inputs: Matrix) -> Values:
    """Tell how far rows lie from each other, feature by feature in standard deviations; what is absent is usual."""
    known = inputs.astype(np.float64)
    counts = np.maximum(1, (~np.isnan(known)).sum(axis=0))
    centred = known - np.nansum(known, axis=0) / counts
    deviations = np.sqrt(np.nansum(centred**2, axis=0) / counts)
    scaled = np.nan_to_num(centred / np.where(deviations > 0, deviations, 1))
    distances: Values = ((scaled[:, np.newaxis] - scaled[np.newaxis]) ** 2).sum(axis=2)
    return distances
