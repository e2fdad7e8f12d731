"""A feature set: the one piece of code that turns instances into a model's input, in training and in serving."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.categories import PitchType, Side
from ondeck_core.instances import InstanceType, Matrix

Column = NDArray[np.float64]
Columns = dict[str, Column]
_ROWS_AT_ONCE: Final = 2048  # all that lies between stays in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of a model's input: its name, its unit (empty for a pure number), what it is made from."""

    name: str
    unit: str
    description: str


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Named features over one instance type; `derive` maps columns by field name to columns by feature name."""

    name: str
    instance: InstanceType
    features: tuple[Feature, ...]
    derive: Callable[[Columns], Columns]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the model's input."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def _in_order(self) -> Callable[[Columns], tuple[Column, ...]]:
        return itemgetter(*self.names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the set declares; an artifact made for another declaration is refused.

        That the code still computes what it declares is what an artifact's golden rows show.
        """
        declared = {
            "name": self.name,
            "instance": [field.name for field in self.instance.fields],
            "features": [[feature.name, feature.unit, feature.description] for feature in self.features],
        }
        return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()

    def compute(self, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields) into the model's input of shape (n, features); NaN is absent."""
        features = np.empty((len(instances), len(self.names)), dtype=np.float32)
        for start in range(0, len(instances), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            features[rows] = np.array(self._derived(instances[rows])).T
        return features

    def _derived(self, instances: Matrix) -> tuple[Column, ...]:
        """Compute a lone row with numbers where many rows take columns: numpy does the same to both, only faster."""
        fields = instances.T.astype(np.float64, order="C")
        columns = dict(zip(self.instance.names, fields[:, 0] if len(instances) == 1 else fields, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._in_order(self.derive(columns))


Codes = NDArray[np.intp]


def is_right(side: Column) -> Column:
    """1 where the side is right, 0 where it is left, NaN where it is not known."""
    return _look_up(_IS_RIGHT, side)


def toward_right(side: Column) -> Column:
    """1 where the side is right, -1 where it is left, NaN where it is not known."""
    return 2.0 * is_right(side) - 1.0


def known_codes(code: Column, codes: type[IntEnum]) -> Codes:
    """The codes, which are counted from 0, as whole numbers; 0 where a code is not known."""
    known: Codes = _known(codes).take(code.astype(np.intp), mode="clip")
    return known


def code_or_nothing(code: Column, codes: type[IntEnum]) -> Column:
    """The code itself where it is known, else NaN."""
    return _look_up(_codes(codes), code)


def pitch_kinds(code: Column, kinds: tuple[frozenset[PitchType], ...]) -> Column:
    """Tell for each kind whether the pitch is of one of its types: 1, 0, or NaN where its type is not known."""
    return _look_up(_kinds(kinds), code)


def _look_up(table: Column, code: Column) -> Column:
    """Take the entries of codes out of a table that begins and ends with what stands for those not known."""
    found: Column = table.take(code.astype(np.intp), axis=-1, mode="clip")  # absent becomes a number out of range
    return found


def _table(known: ArrayLike) -> Column:
    """Put nothing before and behind the entries of the codes that are known, from 1 on."""
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
