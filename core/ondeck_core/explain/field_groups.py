"""Field groups, the units to which an explanation attributes contributions, and preparation of the background.

A group is one field, or several fields with the same meaning: the direction of a batted ball, whether given as an angle
or as hit coordinates, is the group `spray_angle`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.explain.shapley import Values
from ondeck_core.features.batted_ball import spray_angle
from ondeck_core.instances import InstanceType, Matrix

DIRECTION: Final = "spray_angle"
_COORDINATES: Final = ("hc_x", "hc_y")
_COMBINED: Final = {DIRECTION: (*_COORDINATES, DIRECTION)}  # fields by the name of their group


@dataclass(frozen=True, kw_only=True)
class FieldGroup:
    """Fields with one meaning: the name of the group and the columns of the fields."""

    name: str
    columns: tuple[int, ...]


def group_fields(instance: InstanceType) -> tuple[FieldGroup, ...]:
    """List the field groups of an instance type, in the order of the fields that name them."""
    combined = {name: fields for name, fields in _COMBINED.items() if name in instance.names}
    grouped = {field for name, fields in combined.items() for field in fields if field != name}
    return tuple(
        FieldGroup(name=name, columns=tuple(instance.index(field) for field in combined.get(name, (name,))))
        for name in instance.names
        if name not in grouped
    )


def mask_unknown_codes(instance: InstanceType, matrix: Matrix) -> Matrix:
    """Return a copy with NaN for every unknown code, so that a missing value is NaN in each column."""
    out = matrix.copy()
    for position, field in enumerate(instance.fields):
        if field.codes is not None:
            known = np.isin(out[:, position], [code for code in field.codes if code])
            out[~known, position] = np.nan
    return out


def has_value(group: FieldGroup, matrix: Matrix) -> NDArray[np.bool_]:
    """Return for each row of a masked matrix whether a field of the group has a value."""
    given = np.zeros(len(matrix), dtype=np.bool_)
    for column in group.columns:
        given |= ~np.isnan(matrix[:, column])
    return given


def group_value(group: FieldGroup, instance: InstanceType, row: Matrix) -> float | None:
    """Return the value of a group in a masked row of shape (fields,); None if it is missing."""
    value = float(row[instance.index(group.name)])
    if np.isnan(value) and group.name == DIRECTION:
        x, y = (row[[instance.index(name)]].astype(np.float64) for name in _COORDINATES)
        value = float(spray_angle(x, y)[0])
    return None if np.isnan(value) else value


def order_by_similarity(background: Matrix, inputs: Matrix) -> Matrix:
    """Order the background in pairs of similar rows, the most similar pair first; `inputs` is its model input.

    Antithetic permutations from two similar rows have errors of opposite sign, which reduces the variance.
    """
    distances = _squared_distances(inputs)
    np.fill_diagonal(distances, np.inf)
    remaining, order = list(range(len(background))), list[int]()
    while len(remaining) > 1:
        nearest = int(distances[np.ix_(remaining, remaining)].argmin())
        pair = [remaining[number] for number in divmod(nearest, len(remaining))]
        order += pair
        remaining = [row for row in remaining if row not in pair]
    return background[order + remaining]


def _squared_distances(inputs: Matrix) -> Values:
    """Compute pairwise squared distances of standardized features; a missing value counts as the mean."""
    known = inputs.astype(np.float64)
    counts = np.maximum(1, (~np.isnan(known)).sum(axis=0))
    centred = known - np.nansum(known, axis=0) / counts
    deviations = np.sqrt(np.nansum(centred**2, axis=0) / counts)
    scaled = np.nan_to_num(centred / np.where(deviations > 0, deviations, 1))
    distances: Values = ((scaled[:, np.newaxis] - scaled[np.newaxis]) ** 2).sum(axis=2)
    return distances
