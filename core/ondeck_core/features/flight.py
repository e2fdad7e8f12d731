"""How far and how long a batted ball would fly: a point mass with drag and the lift of usual backspin, at sea level.

The equations are integrated once for a grid of exit velocities and launch angles; between its points they are
interpolated. Drag and lift are of the size that fits tracked fly balls; the models learn what is left over.
"""

from functools import cache
from typing import Final

import numpy as np

from ondeck_core.features.grid import Column, Grid

_SPEEDS: Final = Grid(low=0.0, high=130.0, step=2.0)  # mph
_ANGLES: Final = Grid(low=-90.0, high=90.0, step=2.0)  # degrees
_MPH: Final = 1.46667  # ft/s
_GRAVITY: Final = 32.17  # ft/s2
_DRAG: Final = 0.00195  # 1/ft
_LIFT: Final = 0.00045  # 1/ft
_CONTACT_HEIGHT: Final = 3.0  # ft
_STEP: Final = 0.02  # s
_LONGEST: Final = 8.0  # s


def flight(launch_speed: Column, launch_angle: Column) -> tuple[Column, Column]:
    """Distance (ft) and time (s) until the ball comes down, at sea level; NaN where either is absent."""
    faster, speed = _SPEEDS.place(launch_speed)
    higher, angle = _ANGLES.place(launch_angle)
    slower, lower = 1 - faster, 1 - higher
    carry, hang = (
        slower * (lower * slow_low + higher * slow_high) + faster * (lower * fast_low + higher * fast_high)
        for slow_low, slow_high, fast_low, fast_high in _cells().take(speed * _ANGLES.cells + angle, axis=-1)
    )
    return carry, hang


@cache
def _cells() -> Column:
    """Carry and hang time (2) at the four corners (4) of each cell, angle after angle for each speed."""
    corners = [[of[:-1, :-1], of[:-1, 1:], of[1:, :-1], of[1:, 1:]] for of in _integrated()]
    return np.array(corners).reshape(2, 4, -1)


def _integrated() -> tuple[Column, Column]:
    speed, angle = np.meshgrid(_SPEEDS.points * _MPH, np.radians(_ANGLES.points), indexing="ij")
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
