"""What networks see of features: gaps filled, scaled, extremes held; fitted once for all networks of an ensemble."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.instances import Matrix

FURTHEST: Final = 6.0  # standard deviations; what lies beyond is a slip of the tracking or a lob


@dataclass(frozen=True, kw_only=True)
class Preprocessor:
    """Medians, means and inverse standard deviations of the features, all of shape (features,)."""

    median: NDArray[np.float32]
    mean: NDArray[np.float32]
    factor: NDArray[np.float32]

    def apply(self, features: Matrix) -> Matrix:
        """Prepare features of shape (n, features)."""
        filled = np.where(np.isnan(features), self.median, features)
        held: Matrix = np.clip((filled - self.mean) * self.factor, -FURTHEST, FURTHEST).astype(np.float32)
        return held


def fit_preparation(features: Matrix) -> Preprocessor:
    """Fit a preparation on features of shape (n, features); a column without any value becomes all noughts."""
    known = ~np.isnan(features).all(axis=0)
    median = np.zeros(features.shape[1], dtype=np.float32)
    median[known] = np.nanmedian(features[:, known], axis=0)
    filled = np.where(np.isnan(features), median, features).astype(np.float64)
    deviation = filled.std(axis=0)
    return Preprocessor(
        median=median,
        mean=filled.mean(axis=0).astype(np.float32),
        factor=np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0).astype(np.float32),
    )
