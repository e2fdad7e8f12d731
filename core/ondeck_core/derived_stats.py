"""Figures that people of the game read off a prediction."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.features.geometry import edge_distance
from ondeck_core.instances import PITCH, Matrix

Column = NDArray[np.float32]


def prediction_sets(probabilities: Matrix, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Tell for each row which outcomes belong to its set: those at least as likely as their threshold (outcomes,).

    On days like those that the thresholds were fitted on, the set holds what happens as often as its coverage says.
    It may be empty: no outcome is as likely as what happens usually is.
    """
    inside: NDArray[np.bool_] = probabilities >= np.asarray(thresholds, dtype=np.float32)
    return inside


def confidence(probabilities: Matrix) -> Column:
    """One minus the entropy of the outcomes as a share of the largest it can be: 1 is certain, 0 knows nothing."""
    held = np.minimum(np.maximum(probabilities, 1e-12), 1.0)
    entropy = -(held * np.log(held)).sum(axis=1) / np.log(probabilities.shape[1])
    sure: Column = np.minimum(np.maximum(1 - entropy, 0), 1).astype(np.float32)
    return sure


def spread(members: Matrix, probabilities: Matrix) -> Column:
    """Largest less smallest probability that the members give to the likeliest outcome; 0 where all agree."""
    likeliest = members[np.arange(len(members)), :, probabilities.argmax(axis=1)]
    apart: Column = likeliest.max(axis=1) - likeliest.min(axis=1)
    return apart


BASES: Final = np.array([0, 1, 2, 3, 4], dtype=np.float32)
WOBA_WEIGHTS: Final = np.array([0, 0.9, 1.25, 1.6, 2.0], dtype=np.float32)  # Statcast woba_value


FIGURES: Final = {
    "batted_ball": ("xba", "xslg", "xwoba"),
    "called_strike": ("strike_probability", "edge_distance"),
}  # by task, as the functions below give them


def batted_ball_figures(probabilities: Matrix) -> dict[str, Column]:
    """Compute xba, xslg and xwoba from probabilities of shape (n, 5): out, single, double, triple, home run."""
    return {
        "xba": 1 - probabilities[:, 0],
        "xslg": probabilities @ BASES,
        "xwoba": probabilities @ WOBA_WEIGHTS,
    }


def called_strike_figures(probabilities: Matrix, pitches: Matrix) -> dict[str, Column]:
    """Compute strike_probability and edge_distance (feet, NaN without a zone) of probabilities (n, 2)."""
    place = (pitches[:, PITCH.index(name)].astype(np.float64) for name in ("plate_x", "plate_z", "sz_top", "sz_bot"))
    return {
        "strike_probability": probabilities[:, 1],
        "edge_distance": edge_distance(*place).astype(np.float32),
    }
