"""TODO."""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Contributions to each outcome and their standard errors, both of shape (parts, outcomes)."""

    contributions: Values
    standard_errors: Values


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


Places = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class PermutationSampler:
    """Walks from rows of the background, `starts` of shape (n,), in `orders` of the parts, shape (n, parts).

    Walks come in pairs: the second goes in the reverse order of the first.
    """

    starts: Places
    orders: Places

    @property
    def replaced(self) -> NDArray[np.bool_]:
        """Which parts are the instance's after each step: shape (n, 1 + parts, parts), from none to all."""
        turns = np.argsort(self.orders, axis=1)
        steps = np.arange(self.orders.shape[1] + 1)
        done: NDArray[np.bool_] = turns[:, np.newaxis, :] < steps[:, np.newaxis]
        return done

    def first(self, count: int) -> "PermutationSampler":
        """Keep the first so many walks."""
        return PermutationSampler(starts=self.starts[:count], orders=self.orders[:count])

    def credit(self, values: Values) -> Attribution:
        """Credit each step to the part that changed; `values` has shape (n, 1 + parts, outcomes).

        A walk and its reverse hardly ever err to the same side, so half their difference stands for the error of a
        pair.
        """
        steps = np.diff(values, axis=1)
        each = np.empty_like(steps)
        np.put_along_axis(each, self.orders[:, :, np.newaxis], steps, axis=1)
        halves = (each[::2] - each[1::2]) / 2
        return Attribution(
            contributions=each.mean(axis=0), standard_errors=np.sqrt((halves**2).sum(axis=0)) / max(1, len(halves))
        )


def antithetic_permutations(rows: int, parts: int, rounds: int, draw: np.random.Generator) -> PermutationSampler:
    """From every row, walk `rounds` random orders and the reverse of each."""
    return PermutationSampler(
        starts=np.tile(np.repeat(np.arange(rows), 2), rounds), orders=_orders(rows * rounds, parts, draw)
    )


def once_each(rows: int, parts: int, draw: np.random.Generator) -> PermutationSampler:
    """Walk once from each row; neighbours go in opposite orders. Of an odd number of rows the last is left out.

    Pairs of neighbours come in a random order, so that the first few stand for all.
    """
    pairs = draw.permutation(rows // 2)
    starts = np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)
    return PermutationSampler(starts=starts, orders=_orders(len(pairs), parts, draw))


def _orders(pairs: int, parts: int, draw: np.random.Generator) -> Places:
    forward = draw.permuted(np.tile(np.arange(parts), (pairs, 1)), axis=1)
    return np.stack([forward, forward[:, ::-1]], axis=1).reshape(2 * pairs, parts)
