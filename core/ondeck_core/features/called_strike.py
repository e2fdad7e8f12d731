"""Features of a taken pitch: where it crossed the plate, this batter's zone, and what the umpire saw before it."""

from typing import Final

from ondeck_core.categories import BREAKING, FASTBALLS, OFFSPEED
from ondeck_core.features.categorical import is_right, pitch_is, toward_right
from ondeck_core.features.feature_set import Columns, Feature, FeatureSet
from ondeck_core.features.geometry import PLATE_HALF_WIDTH_FT, edge_distance, outside
from ondeck_core.instances import PITCH


def derive(pitch: Columns) -> Columns:
    """Compute the features from the fields of `Pitch`."""
    x, z, top, bottom = (pitch[name] for name in ("plate_x", "plate_z", "sz_top", "sz_bot"))
    stands = toward_right(pitch["stand"])
    return {
        "plate_x": x,
        "plate_z": z,
        "sz_top": top,
        "sz_bot": bottom,
        "edge_distance": edge_distance(x, z, top, bottom),
        "across_edge": outside(x, -PLATE_HALF_WIDTH_FT, PLATE_HALF_WIDTH_FT),
        "above_top": z - top,
        "below_bottom": bottom - z,
        "height_in_zone": (z - bottom) / (top - bottom),
        "toward_batter": -stands * x,
        "release_speed": pitch["release_speed"],
        "break_toward_batter": -stands * pitch["pfx_x"],
        "pfx_x": pitch["pfx_x"],
        "pfx_z": pitch["pfx_z"],
        "balls": pitch["balls"],
        "strikes": pitch["strikes"],
        "bats_right": is_right(pitch["stand"]),
        "throws_right": is_right(pitch["p_throws"]),
        "is_fastball": pitch_is(pitch["pitch_type"], FASTBALLS),
        "is_breaking": pitch_is(pitch["pitch_type"], BREAKING),
        "is_offspeed": pitch_is(pitch["pitch_type"], OFFSPEED),
    }


CALLED_STRIKE_FEATURES: Final = FeatureSet(
    name="called_strike/1",
    instance=PITCH,
    features=(
        Feature(name="plate_x", unit="ft", description="sideways at the plate, Statcast plate_x"),
        Feature(name="plate_z", unit="ft", description="height at the plate, Statcast plate_z"),
        Feature(name="sz_top", unit="ft", description="top of the batter's zone, Statcast sz_top"),
        Feature(name="sz_bot", unit="ft", description="bottom of the batter's zone, Statcast sz_bot"),
        Feature(
            name="edge_distance",
            unit="ft",
            description="from the ball's surface to the rule-book zone, negative inside",
        ),
        Feature(name="across_edge", unit="ft", description="plate_x beyond the nearer edge of the plate"),
        Feature(name="above_top", unit="ft", description="plate_z - sz_top"),
        Feature(name="below_bottom", unit="ft", description="sz_bot - plate_z"),
        Feature(name="height_in_zone", unit="", description="0 at sz_bot, 1 at sz_top"),
        Feature(name="toward_batter", unit="ft", description="plate_x, positive toward the batter, by stand"),
        Feature(name="release_speed", unit="mph", description="speed out of the hand, Statcast release_speed"),
        Feature(name="break_toward_batter", unit="ft", description="pfx_x, positive toward the batter, by stand"),
        Feature(name="pfx_x", unit="ft", description="horizontal movement, Statcast pfx_x"),
        Feature(name="pfx_z", unit="ft", description="induced vertical movement, Statcast pfx_z"),
        Feature(name="balls", unit="", description="balls before the pitch, Statcast balls"),
        Feature(name="strikes", unit="", description="strikes before the pitch, Statcast strikes"),
        Feature(name="bats_right", unit="", description="1 bats right, 0 bats left, Statcast stand"),
        Feature(name="throws_right", unit="", description="1 throws right, 0 throws left, Statcast p_throws"),
        Feature(name="is_fastball", unit="", description="1 where pitch_type is FF, SI, FC or FA"),
        Feature(name="is_breaking", unit="", description="1 where pitch_type is CU, KC, CS, SL, ST, SV or KN"),
        Feature(name="is_offspeed", unit="", description="1 where pitch_type is CH, FS, FO or SC"),
    ),
    derive=derive,
)
