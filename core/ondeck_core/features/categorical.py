"""Codes as numbers a tree or a linear model can use; a code that is not known is NaN."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ondeck_core.categories import PitchType, Side

Column = NDArray[np.float64]


def is_right(side: Column) -> Column:
    """1 where the side is right, 0 where it is left, NaN where it is not known."""
    return np.where(side == Side.R, 1.0, np.where(side == Side.L, 0.0, np.nan))


def toward_right(side: Column) -> Column:
    """1 where the side is right, -1 where it is left, NaN where it is not known."""
    return 2.0 * is_right(side) - 1.0


def pitch_is(code: Column, kinds: Collection[PitchType]) -> Column:
    """1 where the pitch is of one of these kinds, 0 where it is of another, NaN where its type is not known."""
    known = (code > PitchType.UNSPECIFIED) & (code <= max(PitchType))
    return np.where(known, np.isin(code, list(kinds)).astype(np.float64), np.nan)
