"""Codes as numbers a tree or a linear model can use; a code that is not known is NaN."""

from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ondeck_core.categories import PitchType, Side

Column = NDArray[np.float64]
Codes = NDArray[np.intp]


def is_right(side: Column) -> Column:
    """1 where the side is right, 0 where it is left, NaN where it is not known."""
    return _look_up(_IS_RIGHT, side)


def toward_right(side: Column) -> Column:
    """1 where the side is right, -1 where it is left, NaN where it is not known."""
    return 2.0 * is_right(side) - 1.0


def known_codes(code: Column, codes: type[IntEnum]) -> Codes:
    """The codes, which are counted from 0, as whole numbers; 0 where a code is not known."""
    known: Codes = _known(codes).take(code.astype(np.intp), mode="clip")
    return known


def code_or_nothing(code: Column, codes: type[IntEnum]) -> Column:
    """The code itself where it is known, else NaN."""
    return _look_up(_codes(codes), code)


def pitch_kinds(code: Column, kinds: tuple[frozenset[PitchType], ...]) -> Column:
    """Tell for each kind whether the pitch is of one of its types: 1, 0, or NaN where its type is not known."""
    return _look_up(_kinds(kinds), code)


def _look_up(table: Column, code: Column) -> Column:
    """Take the entries of codes out of a table that begins and ends with what stands for those not known."""
    found: Column = table.take(code.astype(np.intp), axis=-1, mode="clip")  # absent becomes a number out of range
    return found


def _table(known: ArrayLike) -> Column:
    """Put nothing before and behind the entries of the codes that are known, from 1 on."""
    entries = np.asarray(known, dtype=np.float64)
    return np.pad(entries, [(0, 0)] * (entries.ndim - 1) + [(1, 1)], constant_values=np.nan)


_IS_RIGHT: Final = _table([side is Side.R for side in Side if side])


@cache
def _kinds(kinds: tuple[frozenset[PitchType], ...]) -> Column:
    return _table([[each in kind for each in PitchType if each] for kind in kinds])


@cache
def _codes(codes: type[IntEnum]) -> Column:
    return _table(range(1, len(codes)))


@cache
def _known(codes: type[IntEnum]) -> Codes:
    return np.array([*range(len(codes)), 0])
