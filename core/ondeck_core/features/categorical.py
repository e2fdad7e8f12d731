"""Codes as numbers a tree or a linear model can use; a code that is not known is NaN."""

from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.categories import PitchType, Side

Column = NDArray[np.float64]


_RIGHT: Final = np.array([np.nan, *(float(side is Side.R) for side in Side if side)])


def is_right(side: Column) -> Column:
    """1 where the side is right, 0 where it is left, NaN where it is not known."""
    return _RIGHT[known_codes(side, Side)]


def toward_right(side: Column) -> Column:
    """1 where the side is right, -1 where it is left, NaN where it is not known."""
    return 2.0 * is_right(side) - 1.0


def known_codes(code: Column, codes: type[IntEnum]) -> NDArray[np.intp]:
    """The codes, which are counted from 0, as whole numbers; 0 where a code is not known."""
    known = (code > 0) & (code < len(codes))
    return np.where(known, code, 0).astype(np.intp)


def code_or_nothing(code: Column, codes: type[IntEnum]) -> Column:
    """The code itself where it is known, else NaN."""
    return np.where((code > 0) & (code < len(codes)), code, np.nan)


def pitch_is(code: NDArray[np.intp], kinds: frozenset[PitchType]) -> Column:
    """1 where the pitch is of one of these kinds, 0 where it is of another, NaN where its type is not known."""
    return _table(kinds)[code]


@cache
def _table(kinds: frozenset[PitchType]) -> Column:
    return np.array([np.nan, *(float(kind in kinds) for kind in PitchType if kind)])
