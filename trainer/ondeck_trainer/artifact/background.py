"""The background of explanations: instances that stand for what is usual, and whose mean answer is the base rate.

They are rows of the training days with every number moved a little, so that none of them was ever played.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.manifest import Background
from ondeck_trainer.model.ensemble import Probabilities

ROWS: Final = 24
_DRAWS: Final = 200
_MOVED_BY: Final = 0.1  # standard deviations


def background(
    instance: InstanceType, instances: Matrix, answer: Callable[[Matrix], Probabilities], seed: int
) -> Background:
    """Choose, of 200 draws of 24 moved instances, the one whose mean answer is nearest to that of 5,000."""
    draw = np.random.default_rng(seed)
    pool = _moved(instance, instances[draw.choice(len(instances), min(5000, len(instances)), replace=False)], draw)
    pool = pool[valid_mask(instance, pool)]
    given = answer(pool)
    draws = [draw.choice(len(pool), ROWS, replace=False) for _ in range(_DRAWS)]
    best = min(draws, key=lambda rows: np.abs(given[rows].mean(axis=0) - given.mean(axis=0)).sum())
    return Background(
        fields=instance.names,
        instances=tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in pool[best]),
    )


def _moved(instance: InstanceType, instances: Matrix, draw: np.random.Generator) -> Matrix:
    moved = instances.copy()
    for position, field in enumerate(instance.fields):
        if field.codes is None and not field.whole:
            column = instances[:, position]
            deviation = float(np.nanstd(column)) if not np.isnan(column).all() else 0.0
            moved[:, position] += draw.normal(0, _MOVED_BY * deviation, len(column)).astype(np.float32)
    return moved
