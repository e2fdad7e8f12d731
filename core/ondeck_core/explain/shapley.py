"""Shapley value estimators: all coalitions, or random permutations with their reverse.

A coalition is the set of field groups that have the instance's values; the other groups have the background row's.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Contributions to each outcome and their standard errors, both of shape (groups, outcomes)."""

    contributions: Values
    standard_errors: Values


@dataclass(frozen=True, kw_only=True)
class ExactSubsets:
    """All coalitions, from each background row in `starts` (n,). Coalition c contains group g if bit g of c is set."""

    starts: Indices
    groups: int

    @property
    def coalitions(self) -> NDArray[np.bool_]:
        """Membership, shape (1, coalitions, groups): the empty coalition first, the full one last."""
        numbers = np.arange(1 << self.groups)[:, np.newaxis]
        bits: NDArray[np.bool_] = (numbers >> np.arange(self.groups)) & 1 == 1
        return bits[np.newaxis]

    def attribute(self, values: Values) -> Attribution:
        """Compute exact Shapley values; `values` has the shape (n, coalitions, outcomes)."""
        mean: Values = values.mean(axis=0)
        members = self.coalitions[0]
        sizes = members.sum(axis=1)
        contributions = np.zeros((self.groups, mean.shape[1]))
        for group in range(self.groups):
            without = np.flatnonzero(~members[:, group])
            weights = _coalition_weights(self.groups)[sizes[without]]
            contributions[group] = weights @ (mean[without | 1 << group] - mean[without])
        return Attribution(contributions=contributions, standard_errors=np.zeros_like(contributions))


def _coalition_weights(groups: int) -> Values:
    """Return by coalition size the share of permutations in which a given coalition directly precedes a given group."""
    return np.array([factorial(k) * factorial(groups - k - 1) / factorial(groups) for k in range(groups)])


@dataclass(frozen=True, kw_only=True)
class PermutationSampler:
    """Permutations of the groups, `orders` (n, groups), each from the background row in `starts` (n,).

    They come in antithetic pairs: the second is the reverse of the first.
    """

    starts: Indices
    orders: Indices

    @property
    def coalitions(self) -> NDArray[np.bool_]:
        """Membership after each step, shape (n, 1 + groups, groups): from empty to full."""
        turns = np.argsort(self.orders, axis=1)
        steps = np.arange(self.orders.shape[1] + 1)
        members: NDArray[np.bool_] = turns[:, np.newaxis, :] < steps[:, np.newaxis]
        return members

    def first(self, count: int) -> "PermutationSampler":
        """Return the first `count` permutations."""
        return PermutationSampler(starts=self.starts[:count], orders=self.orders[:count])

    def attribute(self, values: Values) -> Attribution:
        """Attribute each step to the group it adds; `values` has the shape (n, 1 + groups, outcomes).

        A permutation and its reverse rarely err in the same direction, so half their difference estimates the error
        of the pair.
        """
        steps = np.diff(values, axis=1)
        each = np.empty_like(steps)
        np.put_along_axis(each, self.orders[:, :, np.newaxis], steps, axis=1)
        halves = (each[::2] - each[1::2]) / 2
        return Attribution(
            contributions=each.mean(axis=0), standard_errors=np.sqrt((halves**2).sum(axis=0)) / max(1, len(halves))
        )


def antithetic_permutations(rows: int, groups: int, rounds: int, draw: np.random.Generator) -> PermutationSampler:
    """Draw `rounds` antithetic pairs for every background row."""
    return PermutationSampler(
        starts=np.tile(np.repeat(np.arange(rows), 2), rounds), orders=_draw_pairs(rows * rounds, groups, draw)
    )


def single_permutations(rows: int, groups: int, draw: np.random.Generator) -> PermutationSampler:
    """Draw one permutation for each background row; two neighbouring rows share an antithetic pair.

    The last of an uneven number of rows is left out. The pairs are shuffled: the first ones are a random sample.
    """
    pairs = draw.permutation(rows // 2)
    starts = np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)
    return PermutationSampler(starts=starts, orders=_draw_pairs(len(pairs), groups, draw))


def _draw_pairs(pairs: int, groups: int, draw: np.random.Generator) -> Indices:
    forward = draw.permuted(np.tile(np.arange(groups), (pairs, 1)), axis=1)
    return np.stack([forward, forward[:, ::-1]], axis=1).reshape(2 * pairs, groups)
