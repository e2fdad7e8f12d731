"""Statistics derived from predicted probabilities: prediction sets, confidence, ensemble spread, xBA, xSLG, xwOBA.

Probabilities have the shape (n, outcomes), the members' probabilities (n, members, outcomes).
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.features.strike_zone_distances import edge_distance
from ondeck_core.instances import PITCH, Matrix

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
        "xslg": probabilities @ BASES,
        "xwoba": probabilities @ WOBA_WEIGHTS,
    }


def called_strike_stats(probabilities: Matrix, pitches: Matrix) -> dict[str, Column]:
    """Compute strike_probability and edge_distance (feet, NaN without a strike zone) from probabilities (n, 2)."""
    location = (pitches[:, PITCH.index(name)].astype(np.float64) for name in ("plate_x", "plate_z", "sz_top", "sz_bot"))
    return {
        "strike_probability": probabilities[:, 1],
        "edge_distance": edge_distance(*location).astype(np.float32),
    }
