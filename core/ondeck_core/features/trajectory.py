"""The path of a pitch from Statcast's six numbers: velocity and acceleration at 50 feet."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

MEASURED_AT_FT: Final = 50.0  # from the back tip of the plate: where vx0, vy0 and vz0 are given
PLATE_FRONT_FT: Final = 17 / 12


class Approach(NamedTuple):
    """A pitch as it reaches the front of the plate: velocity in ft/s, time since 50 feet in s."""

    vx: Column
    vy: Column
    vz: Column
    seconds: Column


def approach(velocity: tuple[Column, Column, Column], acceleration: tuple[Column, Column, Column]) -> Approach:
    """Carry velocity and acceleration on to the front of the plate; NaN where absent, or where it never gets there."""
    vx, vy, vz = velocity
    ax, ay, az = acceleration
    with np.errstate(invalid="ignore", divide="ignore"):
        at_plate = -np.sqrt(vy**2 - 2 * ay * (MEASURED_AT_FT - PLATE_FRONT_FT))
        seconds = 2 * (MEASURED_AT_FT - PLATE_FRONT_FT) / -(vy + at_plate)
        return Approach(vx=vx + ax * seconds, vy=at_plate, vz=vz + az * seconds, seconds=seconds)


def downward_angle(path: Approach) -> Column:
    """Vertical approach angle: degrees, negative downwards."""
    return np.degrees(np.arctan2(path.vz, -path.vy))


def sideways_angle(path: Approach) -> Column:
    """Horizontal approach angle: degrees, positive to the catcher's right."""
    return np.degrees(np.arctan2(path.vx, -path.vy))


def at_plate_back(plate_x: Column, plate_z: Column, path: Approach) -> tuple[Column, Column]:
    """Place where the ball passes the back tip of the plate: feet sideways, feet above the ground."""
    with np.errstate(invalid="ignore", divide="ignore"):
        further = PLATE_FRONT_FT / -path.vy
    return plate_x + path.vx * further, plate_z + path.vz * further
