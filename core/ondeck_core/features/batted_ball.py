"""Features of a batted ball: contact, direction, flight, park and defence.

The distance at which the ball was fielded is not a feature, since the fielders influence it.
"""

from typing import Final

import numpy as np

from ondeck_core.categories import InfieldAlignment, OutfieldAlignment, Park
from ondeck_core.features.feature_set import (
    Column,
    Columns,
    Feature,
    FeatureSet,
    code_or_nan,
    is_right,
    known_codes,
)
from ondeck_core.features.geometry import altitude, fence_distance, flight, spray_angle
from ondeck_core.instances import BATTED_BALL

_CARRY_GAIN_PER_FOOT: Final = 1.1e-5  # relative gain of distance per foot of altitude, from thinner air


def derive(ball: Columns) -> Columns:
    """Compute the features from the fields of `BattedBall`."""
    from_coordinates = spray_angle(ball["hc_x"], ball["hc_y"])
    spray = np.where(np.isnan(ball["spray_angle"]), from_coordinates, ball["spray_angle"])
    return _contact(ball, spray) | _location(ball, spray) | _defence(ball)


def _contact(ball: Columns, spray: Column) -> Columns:
    angle, bats_right = np.radians(ball["launch_angle"]), is_right(ball["stand"])
    return {
        "launch_speed": ball["launch_speed"],
        "launch_angle": ball["launch_angle"],
        "spray_angle": spray,
        "pull_angle": (1 - 2 * bats_right) * spray,
        "off_centre": np.abs(spray),
        "rise_speed": ball["launch_speed"] * np.sin(angle),
        "ground_speed": ball["launch_speed"] * np.cos(angle),
        "bats_right": bats_right,
        "throws_right": is_right(ball["p_throws"]),
    }


def _location(ball: Columns, spray: Column) -> Columns:
    carry, hang = flight(ball["launch_speed"], ball["launch_angle"])
    park = known_codes(ball["park"], Park)
    feet, distance = altitude(park), fence_distance(park, spray)
    carry_here = carry * (1 + _CARRY_GAIN_PER_FOOT * feet)
    return {
        "carry": carry,
        "hang_time": hang,
        "carry_here": carry_here,
        "fence": distance,
        "beyond_fence": carry_here - distance,
        "altitude": feet,
    }


def _defence(ball: Columns) -> Columns:
    return {
        "infield": code_or_nan(ball["if_fielding_alignment"], InfieldAlignment),
        "outfield": code_or_nan(ball["of_fielding_alignment"], OutfieldAlignment),
        "outs": ball["outs_when_up"],
        "on_1b": ball["on_1b"],
        "on_2b": ball["on_2b"],
        "on_3b": ball["on_3b"],
    }


def _feature(name: str, unit: str, description: str) -> Feature:
    return Feature(name=name, unit=unit, description=description)


BATTED_BALL_FEATURES: Final = FeatureSet(
    name="batted_ball/2",
    instance=BATTED_BALL,
    features=(
        _feature("launch_speed", "mph", "exit velocity, Statcast launch_speed"),
        _feature("launch_angle", "degrees", "vertical angle, Statcast launch_angle"),
        _feature("spray_angle", "degrees", "direction, negative to left field; as given, or of hc_x and hc_y"),
        _feature("pull_angle", "degrees", "spray_angle turned so that positive is the batter's pull side, by stand"),
        _feature("off_centre", "degrees", "spray_angle without its sign"),
        _feature("rise_speed", "mph", "launch_speed * sin(launch_angle)"),
        _feature("ground_speed", "mph", "launch_speed * cos(launch_angle)"),
        _feature("bats_right", "", "1 bats right, 0 bats left, Statcast stand"),
        _feature("throws_right", "", "1 throws right, 0 throws left, Statcast p_throws"),
        _feature("carry", "ft", "distance until it comes down at sea level, of launch_speed and launch_angle alone"),
        _feature("hang_time", "s", "time until it comes down at sea level, of launch_speed and launch_angle alone"),
        _feature("carry_here", "ft", "carry, further where the park lies high"),
        _feature("fence", "ft", "distance to the end of the outfield in this direction, by park"),
        _feature("beyond_fence", "ft", "carry_here - fence"),
        _feature("altitude", "ft", "height of the park above the sea"),
        _feature("infield", "", "Statcast if_fielding_alignment: 1 standard, 2 strategic, 3 shade, 4 shift"),
        _feature("outfield", "", "Statcast of_fielding_alignment: 1 standard, 2 strategic, 3 a fourth outfielder"),
        _feature("outs", "", "outs before the pitch, Statcast outs_when_up"),
        _feature("on_1b", "", "1 where a runner is on first base, Statcast on_1b"),
        _feature("on_2b", "", "1 where a runner is on second base, Statcast on_2b"),
        _feature("on_3b", "", "1 where a runner is on third base, Statcast on_3b"),
    ),
    derive=derive,
)
