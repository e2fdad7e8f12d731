"""Figures that people of the game read off a prediction."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.features.geometry import edge_distance
from ondeck_core.instances import PITCH, Matrix

Column = NDArray[np.float32]

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
