"""Where things are: the field seen from home plate, and the strike zone seen by the catcher."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

HOME_X: Final = 125.42  # hit coordinates of home plate
HOME_Y: Final = 198.27
PLATE_HALF_WIDTH_FT: Final = 17 / 2 / 12  # rule 2.02: the plate is 17 inches wide
BALL_RADIUS_FT: Final = 2.9 / 2 / 12  # rule 3.01: 9 to 9.25 inches around


def spray_angle(hc_x: Column, hc_y: Column) -> Column:
    """Direction of a hit: degrees, 0 to centre field, negative to left field; NaN where either is absent."""
    return np.degrees(np.arctan2(hc_x - HOME_X, HOME_Y - hc_y))


def beyond_zone(plate_x: Column, plate_z: Column, sz_top: Column, sz_bot: Column) -> tuple[Column, Column, Column]:
    """Tell how far the ball's centre is beyond the nearer side of the plate, above the zone, below it: feet."""
    return np.abs(plate_x) - PLATE_HALF_WIDTH_FT, plate_z - sz_top, sz_bot - plate_z


def edge_of(across: Column, above: Column, below: Column) -> Column:
    """Turn what `beyond_zone` gives into the signed distance that `edge_distance` gives."""
    upright = np.maximum(below, above)
    outside = np.hypot(np.maximum(across, 0.0), np.maximum(upright, 0.0))
    inside = np.fmin(np.maximum(across, upright), 0.0)
    return outside + inside - BALL_RADIUS_FT


def edge_distance(plate_x: Column, plate_z: Column, sz_top: Column, sz_bot: Column) -> Column:
    """Signed distance from the ball's surface to the rule-book zone: feet, positive outside, negative inside.

    A ball that touches the zone is a strike by the rule, so a rule-book strike is a distance of 0 or less.
    """
    return edge_of(*beyond_zone(plate_x, plate_z, sz_top, sz_bot))
