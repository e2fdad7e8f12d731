"""The path of a pitch from Statcast's six numbers: velocity and acceleration at 50 feet."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

MEASURED_AT_FT: Final = 50.0  # from the back tip of the plate: where vx0, vy0 and vz0 are given
PLATE_FRONT_FT: Final = 17 / 12
_TWICE_THE_WAY: Final = 2 * (MEASURED_AT_FT - PLATE_FRONT_FT)


class Approach(NamedTuple):
    """A pitch as it reaches the front of the plate: velocity in ft/s, toward the plate in `speed`; s since 50 feet."""

    vx: Column
    speed: Column
    vz: Column
    seconds: Column


def approach(velocity: tuple[Column, Column, Column], acceleration: tuple[Column, Column, Column]) -> Approach:
    """Carry velocity and acceleration on to the front of the plate; NaN where absent, or where it never gets there."""
    vx, vy, vz = velocity
    ax, ay, az = acceleration
    speed = np.sqrt(vy**2 - _TWICE_THE_WAY * ay)
    seconds = _TWICE_THE_WAY / -(vy - speed)
    return Approach(vx=vx + ax * seconds, speed=speed, vz=vz + az * seconds, seconds=seconds)


def downward_angle(path: Approach) -> Column:
    """Vertical approach angle: degrees, negative downwards."""
    return np.degrees(np.arctan2(path.vz, path.speed))


def sideways_angle(path: Approach) -> Column:
    """Horizontal approach angle: degrees, positive to the catcher's right."""
    return np.degrees(np.arctan2(path.vx, path.speed))


def at_plate_back(plate_x: Column, plate_z: Column, path: Approach) -> tuple[Column, Column]:
    """Place where the ball passes the back tip of the plate: feet sideways, feet above the ground."""
    further = PLATE_FRONT_FT / path.speed
    return plate_x + path.vx * further, plate_z + path.vz * further
