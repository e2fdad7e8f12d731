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
        drifts.append(FieldDrift(field=name, index=_stability_index(np.array(reference.shares), np.array(new.shares))))
    return tuple(sorted(drifts, key=lambda drift: -drift.index))


def _bin_edges(field: Field, column: NDArray[np.float32]) -> NDArray[np.float64]:
    known = column[~np.isnan(column)].astype(np.float64)
    if field.codes is not None or field.integer:
        return np.unique(known)[1:]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)


def _field_profile(edges: NDArray[np.float64], column: NDArray[np.float32]) -> FieldProfile:
    missing = np.isnan(column)
    bins = np.searchsorted(edges, column[~missing].astype(np.float64), side="right")
    counts = [*np.bincount(bins, minlength=len(edges) + 1), missing.sum()]
    return FieldProfile(edges=tuple(edges.tolist()), shares=tuple(float(count) / len(column) for count in counts))


def _stability_index(reference: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    before, after = np.maximum(reference, _FLOOR), np.maximum(new, _FLOOR)
    return float(((after - before) * np.log(after / before)).sum())
