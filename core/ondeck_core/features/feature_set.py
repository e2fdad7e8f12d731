"""Feature sets, which compute the model input from instances in training and serving, and lookups of category codes."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from operator import itemgetter
from typing import Final, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.categories import PitchType, Side
from ondeck_core.instances import InstanceType, Matrix

Column = NDArray[np.float64]
Columns = dict[str, Column]
_CHUNK_ROWS: Final = 2048  # the intermediate columns of a chunk fit into the CPU cache


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the model input: name, unit (empty if dimensionless), description."""

    name: str
    unit: str
    description: str


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Named features of one instance type; `derive` computes columns by feature name from columns by field name."""

    name: str
    instance: InstanceType
    features: tuple[Feature, ...]
    derive: Callable[[Columns], Columns]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the model input."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def _select_columns(self) -> Callable[[Columns], tuple[Column, ...]]:
        return itemgetter(*self.names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the declaration; a version with another fingerprint is not loaded.

        The golden rows of a version verify that the code computes the declared features.
        """
        declared = {
            "name": self.name,
            "instance": [field.name for field in self.instance.fields],
            "features": [[feature.name, feature.unit, feature.description] for feature in self.features],
        }
        return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()

    def compute(self, instances: Matrix) -> Matrix:
        """Compute the model input of shape (n, features) from instances of shape (n, fields)."""
        features = np.empty((len(instances), len(self.names)), dtype=np.float32)
        for start in range(0, len(instances), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            features[rows] = np.array(self._derive_columns(instances[rows])).T
        return features

    def _derive_columns(self, instances: Matrix) -> tuple[Column, ...]:
        """Compute the feature columns.

        A single row uses scalars, which gives the same result faster. For a scalar, a ufunc of two operands costs 1 us
        and an operator 20 ns: the functions below choose by `ndim`.
        """
        fields = instances.T.astype(np.float64, order="C")
        columns = dict(zip(self.instance.names, fields[:, 0] if len(instances) == 1 else fields, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._select_columns(self.derive(columns))


Codes = NDArray[np.intp]
T = TypeVar("T", bound=np.generic)


def clip(value: Column, low: float, high: float) -> Column:
    """Return the values within the limits, the nearer limit of others, NaN for NaN."""
    if value.ndim:
        return np.minimum(np.maximum(value, low), high)
    return cast("Column", low if value < low else min(value, cast("Column", high)))


def first_known(value: Column, other: Column) -> Column:
    """Return the values, and where they are NaN those of the other column."""
    if value.ndim:
        return np.where(np.isnan(value), other, value)
    return other if np.isnan(value) else value


def is_right(side: Column) -> Column:
    """Return 1 for the right side, 0 for the left, NaN if unknown."""
    return _look_up(_IS_RIGHT, side)


def side_sign(side: Column) -> Column:
    """Return 1 for the right side, -1 for the left, NaN if unknown."""
    return 2.0 * is_right(side) - 1.0


def known_codes(code: Column, codes: type[IntEnum]) -> Codes:
    """Return the codes as integers; an unknown code becomes 0."""
    known: Codes = _look_up(_known(codes), code)
    return known


def code_or_nan(code: Column, codes: type[IntEnum]) -> Column:
    """Return the codes; an unknown code becomes NaN."""
    return _look_up(_codes(codes), code)


def pitch_kinds(code: Column, kinds: tuple[frozenset[PitchType], ...]) -> Column:
    """Return for each kind whether it contains the pitch type: 1 or 0, NaN if the pitch type is unknown."""
    return _look_up(_kinds(kinds), code)


def _look_up(table: NDArray[T], code: Column) -> NDArray[T]:
    """Return the table entries of the codes; the first and the last entry are those of unknown codes."""
    if not code.ndim:  # of a single row: an index costs a tenth of `take`
        entries = table.T
        entry: NDArray[T] = entries[int(code) if 0 <= code < len(entries) else -1]
        return entry
    found: NDArray[T] = table.take(code.astype(np.intp), axis=-1, mode="clip")  # NaN becomes an integer out of range
    return found


def _table(known: ArrayLike) -> Column:
    """Build a lookup table from the entries of the codes 1, 2, ...: add NaN at both ends, for unknown codes."""
    entries = np.asarray(known, dtype=np.float64)
    return np.pad(entries, [(0, 0)] * (entries.ndim - 1) + [(1, 1)], constant_values=np.nan)


_IS_RIGHT: Final = _table([side is Side.R for side in Side if side])


@cache
def _kinds(kinds: tuple[frozenset[PitchType], ...]) -> Column:
    return _table([[each in kind for each in PitchType if each] for kind in kinds])


@cache
def _codes(codes: type[IntEnum]) -> Column:
    return _table(range(1, len(codes)))


@cache
def _known(codes: type[IntEnum]) -> Codes:
    return np.array([*range(len(codes)), 0])
