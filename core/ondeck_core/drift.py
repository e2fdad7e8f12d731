"""What rows are like, field by field, and how far newer rows have moved from it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.evaluation import FieldDrift
from ondeck_core.instances import Field, InstanceType, Matrix
from ondeck_core.manifest import FieldProfile, Profile

BINS: Final = 10
_FLOOR: Final = 1e-4  # of a share, so that a bin that was empty does not decide alone


def compute_profile(instance: InstanceType, instances: Matrix) -> Profile:
    """Describe instances of shape (n, fields)."""
    columns = zip(instance.fields, instances.T, strict=True)
    return Profile(fields={field.name: _field(_edges(field, column), column) for field, column in columns})


def field_drift(profile: Profile, instance: InstanceType, instances: Matrix) -> tuple[FieldDrift, ...]:
    """Compute the population stability index of each field, the largest first.

    Sum over bins of (now - then) * ln(now / then); above 0.1 is usually called a shift, above 0.25 a large one.
    """
    found = []
    for name, then in profile.fields.items():
        now = _field(np.array(then.edges), instances[:, instance.index(name)])
        found.append(FieldDrift(field=name, index=_stability(np.array(then.shares), np.array(now.shares))))
    return tuple(sorted(found, key=lambda each: -each.index))


def _edges(field: Field, column: NDArray[np.float32]) -> NDArray[np.float64]:
    known = column[~np.isnan(column)].astype(np.float64)
    if field.codes is not None or field.whole:
        return np.unique(known)[1:]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)


def _field(edges: NDArray[np.float64], column: NDArray[np.float32]) -> FieldProfile:
    absent = np.isnan(column)
    bins = np.searchsorted(edges, column[~absent].astype(np.float64), side="right")
    counts = [*np.bincount(bins, minlength=len(edges) + 1), absent.sum()]
    return FieldProfile(edges=tuple(edges.tolist()), shares=tuple(float(count) / len(column) for count in counts))


def _stability(then: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    before, after = np.maximum(then, _FLOOR), np.maximum(now, _FLOOR)
    return float(((after - before) * np.log(after / before)).sum())
