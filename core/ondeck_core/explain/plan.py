"""Which rows to evaluate in order to explain one, and what follows from their probabilities.

Shapley values: how much each part of an instance moves the probabilities, when a row of the background becomes the
instance part by part, averaged over orders and over the background. They add up to the difference exactly, however
few the walks: each walk leads from one end to the other, and every step is credited.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.explain.field_groups import FieldGroup
from ondeck_core.explain.shapley import ExactSubsets, PermutationSampler, Values, antithetic_permutations, once_each
from ondeck_core.instances import Matrix

SEED: Final = 1953
AFFORDABLE: Final = 5000  # units of about 9 us on one core, of which a row costs two and one for each outcome
_FRUITLESS: Final = 2  # so many times the affordable rows are laid out, to see whether they hold few enough that differ


@dataclass(frozen=True, kw_only=True)
class ExplanationQuery:
    """What is to be explained: an instance of shape (1, fields), beside a background of shape (n, fields), n >= 2.

    Both are settled, and rows of the background that are neighbours had better be alike. `features` turns rows into
    the model's input: rows with the same input need one evaluation.
    """

    instance: Matrix
    background: Matrix
    parts: tuple[FieldGroup, ...]
    features: Callable[[Matrix], Matrix]


@dataclass(frozen=True, kw_only=True)
class AttributionResult:
    """Of each outcome, shape (outcomes,): base rate, probability. Of each part: contributions, standard errors."""

    base_rates: Values
    probabilities: Values
    contributions: Values
    standard_errors: Values


@dataclass(frozen=True, kw_only=True)
class ExplanationPlan:
    """`rows` are to be evaluated, the instance first; `places` tells where in them each step of the game stands.

    `playing` are the parts, by number, in which the instance differs from the background somewhere.
    """

    rows: Matrix
    places: NDArray[np.intp]
    game: ExactSubsets | PermutationSampler
    playing: NDArray[np.intp]
    parts: int

    @property
    def exact(self) -> bool:
        """Whether every subset is evaluated, so that nothing is left to chance."""
        return isinstance(self.game, ExactSubsets)

    @property
    def background_rows(self) -> int:
        """How many rows of the background the base rate is the mean of."""
        return len(np.unique(self.game.starts))

    def explain(self, probabilities: Matrix) -> AttributionResult:
        """Tell what follows from the probabilities of `rows`, shape (rows, outcomes)."""
        values = probabilities.astype(np.float64)[self.places]
        credit = self.game.credit(values)
        contributions, errors = np.zeros((2, self.parts, values.shape[-1]))
        contributions[self.playing], errors[self.playing] = credit.contributions, credit.standard_errors
        return AttributionResult(
            base_rates=values[:, 0].mean(axis=0),
            probabilities=values[0, -1],
            contributions=contributions,
            standard_errors=errors,
        )


def affordable_rows(outcomes: int) -> int:
    """Tell how many rows may be evaluated for one explanation: more outcomes make a row dearer."""
    return AFFORDABLE // (2 + outcomes)


def plan(question: ExplanationQuery, most_rows: int, seed: int = SEED) -> ExplanationPlan:
    """Choose the best that `most_rows` pay for: all subsets; else walks there and back; else one walk a row."""
    rows, playing = len(question.background), _playing(question)
    if rows << len(playing) <= _FRUITLESS * most_rows:
        everything = _laid_out(question, playing, ExactSubsets(starts=np.arange(rows), parts=len(playing)))
        if len(everything.rows) <= most_rows:
            return everything
    walks = once_each(rows, len(playing), np.random.default_rng(seed))
    single = _laid_out(question, playing, walks)
    rounds = most_rows * len(single.places) // (2 * rows * len(single.rows))
    if rounds:
        both = antithetic_permutations(rows, len(playing), rounds, np.random.default_rng(seed))
        return _laid_out(question, playing, both)
    return _fitting(single, walks, most_rows)


def _playing(question: ExplanationQuery) -> NDArray[np.intp]:
    same = (question.instance == question.background) | (np.isnan(question.instance) & np.isnan(question.background))
    differs = ~same.all(axis=0)
    return np.flatnonzero([differs[list(part.columns)].any() for part in question.parts])


def _laid_out(
    question: ExplanationQuery, playing: NDArray[np.intp], game: ExactSubsets | PermutationSampler
) -> ExplanationPlan:
    never = np.zeros_like(game.replaced, shape=(*game.replaced.shape[:2], 1))
    replaced = np.concatenate([game.replaced, never], axis=2)[:, :, _turns(question, playing)]
    steps = np.where(replaced, question.instance[0], question.background[game.starts][:, np.newaxis, :])
    rows = np.vstack([question.instance, steps.reshape(-1, steps.shape[-1])])
    numbers = _numbered(question.features(rows))
    _, first = np.unique(numbers, return_index=True)
    return ExplanationPlan(
        rows=rows[first],
        places=numbers[1:].reshape(steps.shape[:2]),
        game=game,
        playing=playing,
        parts=len(question.parts),
    )


def _turns(question: ExplanationQuery, playing: NDArray[np.intp]) -> NDArray[np.intp]:
    """Tell for each column the number of its part among those that play; one more where it does not."""
    turns = np.full(question.instance.shape[1], len(playing), dtype=np.intp)
    for turn, part in enumerate(playing):
        turns[list(question.parts[part].columns)] = turn
    return turns


def _numbered(inputs: Matrix) -> NDArray[np.intp]:
    """Number rows in the order of their first appearance; equal rows have the same number."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in inputs], dtype=np.intp)


def _fitting(laid_out: ExplanationPlan, walks: PermutationSampler, most_rows: int) -> ExplanationPlan:
    """Keep the first walks, in whole pairs and at least one, that `most_rows` pay for."""
    needed = np.maximum.accumulate(laid_out.places.max(axis=1)) + 1
    count = max(2, int(np.count_nonzero(needed <= most_rows)) // 2 * 2)
    places = laid_out.places[:count]
    return replace(laid_out, rows=laid_out.rows[: places.max() + 1], places=places, game=walks.first(count))
