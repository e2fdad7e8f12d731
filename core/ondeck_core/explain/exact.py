"""Shapley values over all subsets of the parts: exact, and affordable where the parts are few."""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from ondeck_core.explain.attribution import Attribution, Values


@dataclass(frozen=True, kw_only=True)
class ExactSubsets:
    """From each row of `starts`, shape (n,), every subset of the parts: subset s holds part p if bit p of s is set."""

    starts: NDArray[np.intp]
    parts: int

    @property
    def replaced(self) -> NDArray[np.bool_]:
        """Which parts are the instance's: shape (1, subsets, parts), the empty set first and the whole last."""
        numbers = np.arange(1 << self.parts)[:, np.newaxis]
        bits: NDArray[np.bool_] = (numbers >> np.arange(self.parts)) & 1 == 1
        return bits[np.newaxis]

    def credit(self, values: Values) -> Attribution:
        """Credit each part with what it adds to the subsets without it; `values` has shape (n, subsets, outcomes)."""
        mean: Values = values.mean(axis=0)
        sizes = self.replaced[0].sum(axis=1)
        contributions = np.zeros((self.parts, mean.shape[1]))
        for part in range(self.parts):
            without = np.flatnonzero(~self.replaced[0][:, part])
            weights = _weights(self.parts)[sizes[without]]
            contributions[part] = weights @ (mean[without | 1 << part] - mean[without])
        return Attribution(contributions=contributions, standard_errors=np.zeros_like(contributions))


def _weights(parts: int) -> Values:
    """Tell how often, in a random order of the parts, a given subset of each size comes just before a given part."""
    return np.array([factorial(k) * factorial(parts - k - 1) / factorial(parts) for k in range(parts)])
