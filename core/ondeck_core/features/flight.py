"""How far and how long a batted ball would fly: a point mass with drag and the lift of usual backspin, at sea level.

The equations are integrated once for a grid of exit velocities and launch angles; between its points they are
interpolated. Drag and lift are of the size that fits tracked fly balls; the models learn what is left over.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

_SPEEDS: Final = np.arange(0.0, 131.0, 2.0)  # mph
_ANGLES: Final = np.arange(-90.0, 91.0, 2.0)  # degrees
_MPH: Final = 1.46667  # ft/s
_GRAVITY: Final = 32.17  # ft/s2
_DRAG: Final = 0.00195  # 1/ft
_LIFT: Final = 0.00045  # 1/ft
_CONTACT_HEIGHT: Final = 3.0  # ft
_STEP: Final = 0.02  # s
_LONGEST: Final = 8.0  # s


def flight(launch_speed: Column, launch_angle: Column) -> tuple[Column, Column]:
    """Distance (ft) and time (s) until the ball comes down, at sea level; NaN where either is absent."""
    carry, hang = _tables()
    speed, left = _place(launch_speed, _SPEEDS)
    angle, low = _place(launch_angle, _ANGLES)
    return _between(carry, left, low, speed, angle), _between(hang, left, low, speed, angle)


def _place(value: Column, grid: Column) -> tuple[Column, NDArray[np.intp]]:
    at = (np.clip(value, grid[0], grid[-1]) - grid[0]) / (grid[1] - grid[0])
    left = np.minimum(np.where(np.isnan(at), 0, at).astype(np.intp), len(grid) - 2)
    return at - left, left


def _between(table: Column, i: NDArray[np.intp], j: NDArray[np.intp], x: Column, y: Column) -> Column:
    low = (1 - y) * table[i, j] + y * table[i, j + 1]
    high = (1 - y) * table[i + 1, j] + y * table[i + 1, j + 1]
    return (1 - x) * low + x * high


@cache
def _tables() -> tuple[Column, Column]:
    speed, angle = np.meshgrid(_SPEEDS * _MPH, np.radians(_ANGLES), indexing="ij")
    along, up = speed * np.cos(angle), speed * np.sin(angle)
    distance, height = np.zeros_like(along), np.full_like(along, _CONTACT_HEIGHT)
    carry, hang = np.zeros_like(along), np.zeros_like(along)
    flying = np.ones(along.shape, dtype=np.bool_)
    for step in range(1, int(_LONGEST / _STEP) + 1):
        total = np.hypot(along, up)
        distance, height = distance + _STEP * along, height + _STEP * up
        along, up = (
            along - _STEP * total * (_DRAG * along + _LIFT * up),
            up - _STEP * (_GRAVITY + total * (_DRAG * up - _LIFT * along)),
        )
        landed = flying & (height <= 0)
        carry[landed], hang[landed] = distance[landed], step * _STEP
        flying &= ~landed
    carry[flying], hang[flying] = distance[flying], _LONGEST
    return carry, hang
