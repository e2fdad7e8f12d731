"""A feature set: the one piece of code that turns instances into a model's input, in training and in serving."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

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
        if len(instances) <= _ROWS_AT_ONCE:
            return self._compute(instances)
        starts = range(0, len(instances), _ROWS_AT_ONCE)
        return np.concatenate([self._compute(instances[start : start + _ROWS_AT_ONCE]) for start in starts])

    def _compute(self, instances: Matrix) -> Matrix:
        """Compute a lone row with numbers where many rows take columns: numpy does the same to both, only faster."""
        fields = instances.T.astype(np.float64, order="C")
        columns = dict(zip(self.instance.names, fields[:, 0] if len(instances) == 1 else fields, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            derived = self.derive(columns)
        features = np.array(self._in_order(derived)).astype(np.float32)
        return np.ascontiguousarray(features.reshape(len(self.names), len(instances)).T)
