"""Drift of fields: the distribution of each field in training, and the population stability index of newer rows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.evaluation import FieldDrift
from ondeck_core.instances import Field, InstanceType, Matrix
from ondeck_core.manifest import FieldProfile, Profile

BINS: Final = 10
_FLOOR: Final = 1e-4  # minimum share, so that an empty bin does not dominate the index


def compute_profile(instance: InstanceType, instances: Matrix) -> Profile:
    """Compute the distribution of every field of instances of shape (n, fields)."""
    columns = zip(instance.fields, instances.T, strict=True)
    return Profile(fields={field.name: _field_profile(_bin_edges(field, column), column) for field, column in columns})


def field_drift(profile: Profile, instance: InstanceType, instances: Matrix) -> tuple[FieldDrift, ...]:
    """Compute the population stability index (PSI) of each field, in descending order.

    PSI is the sum over bins of (new - reference) * ln(new / reference). By convention a PSI above 0.1 is a shift,
    above 0.25 a large shift.
    """
    drifts = []
    for name, reference in profile.fields.items():
        new = _field_profile(np.array(reference.edges), instances[:, instance.index(name)])
        drifts.append(FieldDrift(field=name, index=stability_index(np.array(reference.shares), np.array(new.shares))))
    return tuple(sorted(drifts, key=lambda drift: -drift.index))


def _bin_edges(field: Field, column: NDArray[np.float32]) -> NDArray[np.float64]:
    known = column[~np.isnan(column)].astype(np.float64)
    if field.codes is not None or field.integer:
        return np.unique(known)[1:]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)


def bin_numbers(edges: NDArray[np.float64], column: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the bin number of each value of a column (n,); the last bin, len(edges) + 1, is of missing values."""
    bins = np.searchsorted(edges, column.astype(np.float64), side="right").astype(np.int64)
    return np.where(np.isnan(column), len(edges) + 1, bins)


def _field_profile(edges: NDArray[np.float64], column: NDArray[np.float32]) -> FieldProfile:
    counts = np.bincount(bin_numbers(edges, column), minlength=len(edges) + 2)
    return FieldProfile(edges=tuple(edges.tolist()), shares=tuple(float(count) / len(column) for count in counts))


def stability_index(reference: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Compute the population stability index of new shares (bins,) against those of the reference."""
    before, after = np.maximum(reference, _FLOOR), np.maximum(new, _FLOOR)
    return float(((after - before) * np.log(after / before)).sum())
