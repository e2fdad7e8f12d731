"""Statistics derived from predicted probabilities: prediction sets, confidence, ensemble spread, xBA, xSLG, xwOBA.

Probabilities have the shape (n, outcomes), the members' probabilities (n, members, outcomes). No statistic of a row
depends on the other rows, not in its last bit either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.features.strike_zone_distances import edge_distance
from ondeck_core.instances import PITCH, InstanceType, Matrix, valid_mask

Column = NDArray[np.float32]

BASES: Final = np.array([0, 1, 2, 3, 4], dtype=np.float32)
WOBA_WEIGHTS: Final = np.array([0, 0.9, 1.25, 1.6, 2.0], dtype=np.float32)  # Statcast woba_value
DERIVED_STATS: Final = {
    "batted_ball": ("xba", "xslg", "xwoba"),
    "called_strike": ("strike_probability", "edge_distance"),
}  # names by task, in the order of the functions below


def prediction_sets(probabilities: Matrix, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Return for each row the outcomes in its prediction set: those with at least their threshold's probability.

    `thresholds` has the shape (outcomes,). On days like the calibration days the set contains the observed outcome at
    the rate of its coverage. The set may be empty.
    """
    inside: NDArray[np.bool_] = probabilities >= np.asarray(thresholds, dtype=np.float32)
    return inside


def confidence(probabilities: Matrix) -> Column:
    """Compute 1 - entropy / maximum entropy: 1 for a certain outcome, 0 for equally probable outcomes."""
    clipped = np.minimum(np.maximum(probabilities, 1e-12), 1.0)
    entropy = -(clipped * np.log(clipped)).sum(axis=1) / np.log(probabilities.shape[1])
    score: Column = np.minimum(np.maximum(1 - entropy, 0), 1).astype(np.float32)
    return score


def ensemble_spread(members: Matrix, probabilities: Matrix) -> Column:
    """Compute the range of the members' probabilities of the most probable outcome; 0 where all members agree."""
    top = members[np.arange(len(members)), :, probabilities.argmax(axis=1)]
    difference: Column = top.max(axis=1) - top.min(axis=1)
    return difference


def batted_ball_stats(probabilities: Matrix) -> dict[str, Column]:
    """Compute xba, xslg and xwoba from probabilities of shape (n, 5): out, single, double, triple, home run."""
    return {
        "xba": 1 - probabilities[:, 0],
        "xslg": np.vecdot(probabilities, BASES),  # a matrix product would sum in an order that depends on n
        "xwoba": np.vecdot(probabilities, WOBA_WEIGHTS),
    }


def called_strike_stats(probabilities: Matrix, pitches: Matrix) -> dict[str, Column]:
    """Compute strike_probability and edge_distance (feet, NaN without a strike zone) from probabilities (n, 2)."""
    location = (pitches[:, PITCH.index(name)].astype(np.float64) for name in ("plate_x", "plate_z", "sz_top", "sz_bot"))
    return {
        "strike_probability": probabilities[:, 1],
        "edge_distance": edge_distance(*location).astype(np.float32),
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class ResultColumns:
    """The columns of a result table, float32 of shape (n, columns): all that a response says of n instances.

    In this order: a probability for each outcome, the derived statistics, the ensemble spread, the confidence, each
    prediction set as a sum of 2 ** (number of an outcome), and whether the instance is valid.
    """

    task: str
    instance: InstanceType
    outcomes: int
    thresholds: Sequence[Sequence[float]]  # of each prediction set, a threshold for each outcome

    @cached_property
    def stats(self) -> tuple[str, ...]:
        """Names of the derived statistics."""
        return DERIVED_STATS.get(self.task, ())

    @cached_property
    def floats(self) -> int:
        """Number of the columns up to the confidence."""
        return self.outcomes + len(self.stats) + 2

    @cached_property
    def _set_thresholds(self) -> Matrix:
        return np.array(self.thresholds, dtype=np.float32).reshape(-1, self.outcomes)

    @cached_property
    def _set_bits(self) -> Matrix:
        return np.exp2(np.arange(self.outcomes, dtype=np.float32))

    def compute(self, instances: Matrix, probabilities: Matrix, spread: Column) -> Matrix:
        """Compute the result table of instances, valid or not, from their probabilities and their ensemble spread."""
        table = np.empty((len(instances), self.floats + len(self.thresholds) + 1), dtype=np.float32)
        table[:, : self.outcomes] = probabilities
        for column, values in enumerate(self._derive_stats(instances, probabilities).values(), self.outcomes):
            table[:, column] = values
        table[:, self.floats - 2] = spread
        table[:, self.floats - 1] = confidence(probabilities)
        table[:, self.floats : -1] = (
            prediction_sets(probabilities[:, np.newaxis], self._set_thresholds) @ self._set_bits
        )
        table[:, -1] = valid_mask(self.instance, instances)
        return table

    def _derive_stats(self, instances: Matrix, probabilities: Matrix) -> dict[str, Column]:
        if self.task == "batted_ball":
            return batted_ball_stats(probabilities)
        if self.task == "called_strike":
            return called_strike_stats(probabilities, instances)
        return {}
