"""Statcast's codes as the numbers that stand for them in messages and in instance matrices; 0 is not known."""

from enum import IntEnum
from typing import Final


class Side(IntEnum):
    """Statcast's `stand` and `p_throws`; the numbers are those of `ondeck.v1.Side`."""

    UNSPECIFIED = 0
    L = 1
    R = 2


class PitchType(IntEnum):
    """Statcast's `pitch_type`; the numbers are those of `ondeck.v1.PitchType`."""

    UNSPECIFIED = 0
    FF = 1
    SI = 2
    FC = 3
    CH = 4
    FS = 5
    FO = 6
    SC = 7
    CU = 8
    KC = 9
    CS = 10
    SL = 11
    ST = 12
    SV = 13
    KN = 14
    EP = 15
    FA = 16
    PO = 17


FASTBALLS: Final = frozenset({PitchType.FF, PitchType.SI, PitchType.FC, PitchType.FA})
OFFSPEED: Final = frozenset({PitchType.CH, PitchType.FS, PitchType.FO, PitchType.SC})
BREAKING: Final = frozenset(
    {PitchType.CU, PitchType.KC, PitchType.CS, PitchType.SL, PitchType.ST, PitchType.SV, PitchType.KN}
)
