"""Spray angle and distance to the edge of the strike zone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck_core.features.batted_ball import spray_angle
from ondeck_core.features.strike_zone_distances import BALL_RADIUS_FT, PLATE_HALF_WIDTH_FT, edge_distance


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("hc_x", "hc_y", "degrees"),
    [
        (125.42, 50.0, 0.0),
        (125.42 - 100, 198.27 - 100, -45.0),
        (125.42 + 100, 198.27 - 100, 45.0),
        (125.42 + 10, 198.27, 90.0),
    ],
)
def test_spray_angle_is_zero_to_center_and_negative_to_left(hc_x: float, hc_y: float, degrees: float) -> None:
    assert spray_angle(column(hc_x), column(hc_y)) == pytest.approx([degrees])


@given(angle=st.floats(-60, 60), near=st.floats(5, 200), far=st.floats(5, 200))
def test_spray_angle_does_not_depend_on_how_far_the_ball_was_fielded(angle: float, near: float, far: float) -> None:
    radians = np.radians(angle)
    points = [(125.42 + r * np.sin(radians), 198.27 - r * np.cos(radians)) for r in (near, far)]
    first, second = (spray_angle(column(x), column(y))[0] for x, y in points)
    assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize(
    ("x", "z", "distance"),
    [
        (0.0, 2.5, -PLATE_HALF_WIDTH_FT - BALL_RADIUS_FT),  # the middle: the sides of the plate are nearest
        (PLATE_HALF_WIDTH_FT, 2.5, -BALL_RADIUS_FT),
        (PLATE_HALF_WIDTH_FT + BALL_RADIUS_FT, 2.5, 0.0),
        (0.0, 4.5, 1.0 - BALL_RADIUS_FT),
        (PLATE_HALF_WIDTH_FT + 0.3, 3.5 + 0.4, 0.5 - BALL_RADIUS_FT),
    ],
)
def test_edge_distance_is_measured_from_the_balls_surface(x: float, z: float, distance: float) -> None:
    assert edge_distance(column(x), column(z), column(3.5), column(1.5)) == pytest.approx([distance])


def test_edge_distance_is_absent_without_a_zone() -> None:
    assert np.isnan(edge_distance(column(0.0), column(2.5), column(np.nan), column(1.5))).all()
