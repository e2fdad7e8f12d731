"""Statcast codes as the enum numbers of the protobuf messages and the instance matrices; 0 is unknown."""

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


class Park(IntEnum):
    """Ballpark of a game; the numbers are those of `ondeck.v1.Park`."""

    UNSPECIFIED = 0
    ANGEL_STADIUM = 1
    CHASE_FIELD = 2
    TRUIST_PARK = 3
    CAMDEN_YARDS = 4
    FENWAY_PARK = 5
    WRIGLEY_FIELD = 6
    RATE_FIELD = 7
    GREAT_AMERICAN_BALL_PARK = 8
    PROGRESSIVE_FIELD = 9
    COORS_FIELD = 10
    COMERICA_PARK = 11
    DAIKIN_PARK = 12
    KAUFFMAN_STADIUM = 13
    DODGER_STADIUM = 14
    LOANDEPOT_PARK = 15
    AMERICAN_FAMILY_FIELD = 16
    TARGET_FIELD = 17
    CITI_FIELD = 18
    YANKEE_STADIUM = 19
    OAKLAND_COLISEUM = 20
    CITIZENS_BANK_PARK = 21
    PNC_PARK = 22
    PETCO_PARK = 23
    ORACLE_PARK = 24
    T_MOBILE_PARK = 25
    BUSCH_STADIUM = 26
    TROPICANA_FIELD = 27
    GLOBE_LIFE_FIELD = 28
    ROGERS_CENTRE = 29
    NATIONALS_PARK = 30
    SUTTER_HEALTH_PARK = 31
    STEINBRENNER_FIELD = 32


class InfieldAlignment(IntEnum):
    """Statcast's `if_fielding_alignment`; the numbers are those of `ondeck.v1.InfieldAlignment`."""

    UNSPECIFIED = 0
    STANDARD = 1
    STRATEGIC = 2
    SHADE = 3
    SHIFT = 4


class OutfieldAlignment(IntEnum):
    """Statcast's `of_fielding_alignment`; the numbers are those of `ondeck.v1.OutfieldAlignment`."""

    UNSPECIFIED = 0
    STANDARD = 1
    STRATEGIC = 2
    FOURTH_OUTFIELDER = 3


FASTBALLS: Final = frozenset({PitchType.FF, PitchType.SI, PitchType.FC, PitchType.FA})
OFFSPEED: Final = frozenset({PitchType.CH, PitchType.FS, PitchType.FO, PitchType.SC})
BREAKING: Final = frozenset(
    {PitchType.CU, PitchType.KC, PitchType.CS, PitchType.SL, PitchType.ST, PitchType.SV, PitchType.KN}
)
