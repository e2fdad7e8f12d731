"""Features of a ball in play: how hard, how high, in which direction. Never how far it was fielded."""

from typing import Final

import numpy as np

from ondeck_core.features.categorical import is_right, toward_right
from ondeck_core.features.feature_set import Columns, Feature, FeatureSet
from ondeck_core.features.geometry import spray_angle
from ondeck_core.instances import BATTED_BALL


def derive(ball: Columns) -> Columns:
    """Compute the features from the fields of `BattedBall`."""
    from_map = spray_angle(ball["hc_x"], ball["hc_y"])
    spray = np.where(np.isnan(ball["spray_angle"]), from_map, ball["spray_angle"])
    climb = np.radians(ball["launch_angle"])
    return {
        "launch_speed": ball["launch_speed"],
        "launch_angle": ball["launch_angle"],
        "spray_angle": spray,
        "pull_angle": -toward_right(ball["stand"]) * spray,
        "off_centre": np.abs(spray),
        "rise_speed": ball["launch_speed"] * np.sin(climb),
        "ground_speed": ball["launch_speed"] * np.cos(climb),
        "bats_right": is_right(ball["stand"]),
    }


BATTED_BALL_FEATURES: Final = FeatureSet(
    name="batted_ball/1",
    instance=BATTED_BALL,
    features=(
        Feature(name="launch_speed", unit="mph", description="exit velocity, Statcast launch_speed"),
        Feature(name="launch_angle", unit="degrees", description="vertical angle, Statcast launch_angle"),
        Feature(
            name="spray_angle",
            unit="degrees",
            description="direction, negative to left field; as given, or of hc_x and hc_y",
        ),
        Feature(
            name="pull_angle",
            unit="degrees",
            description="spray_angle turned so that positive is the batter's pull side, by stand",
        ),
        Feature(name="off_centre", unit="degrees", description="spray_angle without its sign"),
        Feature(name="rise_speed", unit="mph", description="launch_speed * sin(launch_angle)"),
        Feature(name="ground_speed", unit="mph", description="launch_speed * cos(launch_angle)"),
        Feature(name="bats_right", unit="", description="1 bats right, 0 bats left, Statcast stand"),
    ),
    derive=derive,
)
