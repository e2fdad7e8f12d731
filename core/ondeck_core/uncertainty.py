"""How sure an answer is: prediction sets with a stated coverage, the members' spread, one score.

Probabilities are of shape (n, outcomes), members' probabilities of shape (n, members, outcomes).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.instances import Matrix

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
