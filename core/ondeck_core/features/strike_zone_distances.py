"""Distances of a pitch from the strike zone as it crosses the plate."""

from typing import Final

import numpy as np

from ondeck_core.features.feature_set import Column

PLATE_HALF_WIDTH_FT: Final = 17 / 2 / 12  # rule 2.02: the plate is 17 inches wide
BALL_RADIUS_FT: Final = 2.9 / 2 / 12  # rule 3.01: 9 to 9.25 inches around


def beyond_zone(plate_x: Column, plate_z: Column, sz_top: Column, sz_bot: Column) -> tuple[Column, Column, Column]:
    """Compute how far the ball's centre is beside the plate, above the zone and below the zone: feet."""
    return np.abs(plate_x) - PLATE_HALF_WIDTH_FT, plate_z - sz_top, sz_bot - plate_z


def signed_edge_distance(across: Column, above: Column, below: Column) -> Column:
    """Compute `edge_distance` from the result of `beyond_zone`."""
    upright = np.maximum(below, above)
    outside = np.hypot(np.maximum(across, 0.0), np.maximum(upright, 0.0))
    inside = np.fmin(np.maximum(across, upright), 0.0)
    return outside + inside - BALL_RADIUS_FT


def edge_distance(plate_x: Column, plate_z: Column, sz_top: Column, sz_bot: Column) -> Column:
    """Compute the distance from the ball's surface to the rulebook zone: feet, negative inside the zone.

    A ball that touches the zone is a strike, so a rulebook strike has a distance of 0 or less.
    """
    return signed_edge_distance(*beyond_zone(plate_x, plate_z, sz_top, sz_bot))
