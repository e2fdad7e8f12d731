"""Plan of an explanation: the rows to evaluate, and the Shapley values that follow from their probabilities.

The Shapley value of a field group is its mean effect on the probabilities when a background row becomes the instance
group by group, over all orders and background rows. The values add up to probability - base rate exactly, however few
permutations are evaluated, because every permutation leads from a background row to the instance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.explain.field_groups import FieldGroup
from ondeck_core.explain.shapley import (
    ExactSubsets,
    Indices,
    PermutationSampler,
    Values,
    antithetic_permutations,
    single_permutations,
)
from ondeck_core.instances import Matrix

SEED: Final = 1953
COST_BUDGET: Final = 5000  # units of about 9 us on one core; a row costs two units and one for each outcome
_EXACT_ATTEMPT_FACTOR: Final = 2  # tries all coalitions up to this multiple of the budget: duplicate rows cost nothing


@dataclass(frozen=True, kw_only=True)
class ExplanationQuery:
    """An instance of shape (1, fields) to explain against a background of shape (n, fields), n >= 2.

    Unknown codes are masked in both; neighbouring background rows should be similar. `features` computes the model
    input: rows with the same input are evaluated once.
    """

    instance: Matrix
    background: Matrix
    groups: tuple[FieldGroup, ...]
    features: Callable[[Matrix], Matrix]


@dataclass(frozen=True, kw_only=True)
class AttributionResult:
    """Base rates and probabilities (outcomes,), contributions and their standard errors (groups, outcomes)."""

    base_rates: Values
    probabilities: Values
    contributions: Values
    standard_errors: Values


@dataclass(frozen=True, kw_only=True)
class ExplanationPlan:
    """`rows` to evaluate, the instance first; `row_numbers` maps each step of the estimator to its row.

    `active_groups` are the numbers of the groups in which the instance differs from a background row.
    """

    rows: Matrix
    row_numbers: Indices
    estimator: ExactSubsets | PermutationSampler
    active_groups: Indices
    groups: int

    @property
    def is_exact(self) -> bool:
        """Whether all coalitions are evaluated, so that there is no sampling error."""
        return isinstance(self.estimator, ExactSubsets)

    @property
    def background_rows(self) -> int:
        """Number of background rows in the base rate."""
        return len(np.unique(self.estimator.starts))

    def explain(self, probabilities: Matrix) -> AttributionResult:
        """Compute the attributions from the probabilities of `rows`, shape (rows, outcomes)."""
        values = probabilities.astype(np.float64)[self.row_numbers]
        active = self.estimator.attribute(values)
        contributions, errors = np.zeros((2, self.groups, values.shape[-1]))
        contributions[self.active_groups], errors[self.active_groups] = active.contributions, active.standard_errors
        return AttributionResult(
            base_rates=values[:, 0].mean(axis=0),
            probabilities=values[0, -1],
            contributions=contributions,
            standard_errors=errors,
        )


def row_budget(outcomes: int) -> int:
    """Return the maximum number of rows to evaluate for one explanation: a row costs more with more outcomes."""
    return COST_BUDGET // (2 + outcomes)


def plan(query: ExplanationQuery, max_rows: int, seed: int = SEED) -> ExplanationPlan:
    """Choose the most accurate estimator within `max_rows`.

    In this order: all coalitions, antithetic pairs from every background row, one permutation for each row or fewer.
    """
    rows, active = len(query.background), _find_active_groups(query)
    if rows << len(active) <= _EXACT_ATTEMPT_FACTOR * max_rows:
        exact = _build_plan(query, active, ExactSubsets(starts=np.arange(rows), groups=len(active)))
        if len(exact.rows) <= max_rows:
            return exact
    permutations = single_permutations(rows, len(active), np.random.default_rng(seed))
    single = _build_plan(query, active, permutations)
    rounds = max_rows * len(single.row_numbers) // (2 * rows * len(single.rows))
    if rounds:
        pairs = antithetic_permutations(rows, len(active), rounds, np.random.default_rng(seed))
        return _build_plan(query, active, pairs)
    return _truncate(single, permutations, max_rows)


def _find_active_groups(query: ExplanationQuery) -> Indices:
    same = (query.instance == query.background) | (np.isnan(query.instance) & np.isnan(query.background))
    differs = ~same.all(axis=0)
    return np.flatnonzero([differs[list(group.columns)].any() for group in query.groups])


def _build_plan(
    query: ExplanationQuery, active: Indices, estimator: ExactSubsets | PermutationSampler
) -> ExplanationPlan:
    coalitions = estimator.coalitions
    never: NDArray[np.bool_] = np.zeros((*coalitions.shape[:2], 1), dtype=np.bool_)  # the columns of inactive groups
    replaced = np.concatenate([coalitions, never], axis=2)[:, :, _active_numbers(query, active)]
    steps = np.where(replaced, query.instance[0], query.background[estimator.starts][:, np.newaxis, :])
    rows = np.vstack([query.instance, steps.reshape(-1, steps.shape[-1])])
    numbers = _number_distinct(query.features(rows))
    _, first = np.unique(numbers, return_index=True)
    return ExplanationPlan(
        rows=rows[first],
        row_numbers=numbers[1:].reshape(steps.shape[:2]),
        estimator=estimator,
        active_groups=active,
        groups=len(query.groups),
    )


def _active_numbers(query: ExplanationQuery, active: Indices) -> Indices:
    """Return for each column the position of its group in `active`; len(active) if it is inactive."""
    numbers = np.full(query.instance.shape[1], len(active), dtype=np.intp)
    for position, group in enumerate(active):
        numbers[list(query.groups[group].columns)] = position
    return numbers


def _number_distinct(inputs: Matrix) -> Indices:
    """Number rows in the order of their first appearance; equal rows have the same number."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in inputs], dtype=np.intp)


def _truncate(full: ExplanationPlan, permutations: PermutationSampler, max_rows: int) -> ExplanationPlan:
    """Keep the first permutations that fit into `max_rows`, in whole pairs and at least one pair."""
    needed = np.maximum.accumulate(full.row_numbers.max(axis=1)) + 1
    count = max(2, int(np.count_nonzero(needed <= max_rows)) // 2 * 2)
    kept = full.row_numbers[:count]
    return replace(full, rows=full.rows[: kept.max() + 1], row_numbers=kept, estimator=permutations.first(count))
