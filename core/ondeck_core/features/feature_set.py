"""A feature set: the one piece of code that turns instances into a model's input, in training and in serving."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondeck_core.instances import InstanceType, Matrix

Columns = dict[str, NDArray[np.float64]]


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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the model's input."""
        return tuple(feature.name for feature in self.features)

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
        columns = dict(zip(self.instance.names, np.ascontiguousarray(instances.T, dtype=np.float64), strict=True))
        derived = self.derive(columns)
        return np.ascontiguousarray(np.array([derived[name] for name in self.names], dtype=np.float32).T)
