"""Split conformal thresholds: how likely an outcome must be to belong to a prediction set of a stated coverage."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_trainer.data.dataset import Labels

COVERAGES: Final = (0.8, 0.9)
RARE: Final = 0.06  # share of rows below which an outcome has a threshold of its own


def thresholds(probabilities: NDArray[np.float64], labels: Labels, coverage: float) -> tuple[float, ...]:
    """Find a threshold for each outcome from probabilities (n, outcomes) of rows that no member was fitted on.

    A rare outcome is judged by its own rows, so that it is covered as often as the others; those share theirs.
    """
    count = probabilities.shape[1]
    shares = np.bincount(labels, minlength=count) / len(labels)
    given = probabilities[np.arange(len(labels)), labels]
    common = _quantile(given[np.isin(labels, np.flatnonzero(shares >= RARE))], coverage)
    return tuple(
        common if shares[outcome] >= RARE else _quantile(given[labels == outcome], coverage) for outcome in range(count)
    )


def _quantile(given: NDArray[np.float64], coverage: float) -> float:
    """Take the largest threshold that still keeps the coverage for one more row: rank floor((n + 1)(1 - coverage))."""
    rank = int(np.floor((len(given) + 1) * (1 - coverage) + 1e-9))
    return float(np.sort(given)[rank - 1]) if rank >= 1 else 0.0
