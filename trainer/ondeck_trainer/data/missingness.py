"""Gaps: real rows with optional fields made absent, because a caller may know less than Statcast does."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.instances import InstanceType, Matrix
from ondeck_trainer.data.dataset import Dataset

SHARE_OF_ROWS: Final = 0.03
SHARES_OF_CELLS: Final = (0.3, 1.0)  # a few fields missing, or all that may be


def blank(instance: InstanceType, instances: Matrix, shares: NDArray[np.float64], seed: int) -> Matrix:
    """Copy instances and make optional fields absent, in each row about its share of them; `shares` is of shape (n,).

    Hit coordinates go together, as they come.
    """
    draw = np.random.default_rng(seed)
    blanked = instances.copy()
    for name in instance.names:
        if instance.fields[instance.index(name)].required or name == "hc_y":
            continue
        absent = draw.random(len(blanked)) < shares
        blanked[absent, instance.index(name)] = np.nan
        if name == "hc_x":
            blanked[absent, instance.index("hc_y")] = np.nan
    return blanked


def with_gaps(rows: Dataset, seed: int) -> Dataset:
    """Add copies of some rows with optional fields absent, so that the members learn what to make of gaps."""
    draw = np.random.default_rng(seed)
    copied = np.sort(draw.choice(len(rows), int(SHARE_OF_ROWS * len(rows)), replace=False))
    shares = draw.choice(SHARES_OF_CELLS, len(copied))
    blanked = blank(rows.task.instance, rows.instances[copied], shares, seed)
    return Dataset(
        task=rows.task,
        rows=rows.rows[np.concatenate([np.arange(len(rows)), copied])],
        instances=np.vstack([rows.instances, blanked]),
        features=np.vstack([rows.features, rows.task.features.compute(blanked)]),
        labels=np.concatenate([rows.labels, rows.labels[copied]]),
        left_out=rows.left_out,
    )
