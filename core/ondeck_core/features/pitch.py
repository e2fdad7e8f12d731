"""Features of a pitch: location, strike zone, trajectory, release and game situation, shared by all pitch tasks.

None depends on the outcome of the pitch.
"""

from typing import Final, NamedTuple

import numpy as np

from ondeck_core.categories import BREAKING, FASTBALLS, OFFSPEED, Park, PitchType
from ondeck_core.features.feature_set import (
    Column,
    Columns,
    Feature,
    FeatureSet,
    code_or_nan,
    pitch_kinds,
    side_sign,
)
from ondeck_core.features.strike_zone_distances import beyond_zone, signed_edge_distance
from ondeck_core.instances import PITCH

MEASURED_AT_FT: Final = 50.0  # distance from the back tip of the plate at which vx0, vy0 and vz0 are measured
PLATE_FRONT_FT: Final = 17 / 12
_TWICE_DISTANCE: Final = 2 * (MEASURED_AT_FT - PLATE_FRONT_FT)
_EDGE_SCALE_FT: Final = 0.12  # scale over which the call changes from strike to ball
_FLAGGED_TYPES: Final = tuple(PitchType[name] for name in ["FF", "SI", "FC", "CH", "FS", "CU", "KC", "SL", "ST", "SV"])
_KINDS: Final = {
    "is_fastball": FASTBALLS,
    "is_breaking": BREAKING,
    "is_offspeed": OFFSPEED,
    **{f"is_{kind.name.lower()}": frozenset({kind}) for kind in _FLAGGED_TYPES},
}
_KIND_TYPES: Final = tuple(_KINDS.values())
_BALLS_PER_WALK: Final = 4


class Approach(NamedTuple):
    """A pitch at the front of the plate: velocity in ft/s (`speed` is toward the plate), seconds since 50 feet."""

    vx: Column
    speed: Column
    vz: Column
    seconds: Column


def approach(velocity: tuple[Column, Column, Column], acceleration: tuple[Column, Column, Column]) -> Approach:
    """Compute the velocity at the front of the plate; NaN if a value is missing or the pitch does not arrive."""
    vx, vy, vz = velocity
    ax, ay, az = acceleration
    speed = np.sqrt(vy**2 - _TWICE_DISTANCE * ay)
    seconds = _TWICE_DISTANCE / -(vy - speed)
    return Approach(vx=vx + ax * seconds, speed=speed, vz=vz + az * seconds, seconds=seconds)


def vertical_angle(path: Approach) -> Column:
    """Compute the vertical approach angle: degrees, negative is downward."""
    return np.degrees(np.arctan2(path.vz, path.speed))


def horizontal_angle(path: Approach) -> Column:
    """Compute the horizontal approach angle: degrees, positive is toward the catcher's right."""
    return np.degrees(np.arctan2(path.vx, path.speed))


def at_plate_back(plate_x: Column, plate_z: Column, path: Approach) -> tuple[Column, Column]:
    """Compute the location at the back tip of the plate: feet sideways, feet above the ground."""
    seconds = PLATE_FRONT_FT / path.speed
    return plate_x + path.vx * seconds, plate_z + path.vz * seconds


def derive(pitch: Columns) -> Columns:
    """Compute the features from the fields of `Pitch`."""
    stands, throws = side_sign(pitch["stand"]), side_sign(pitch["p_throws"])
    path = approach(
        (pitch["vx0"], pitch["vy0"], pitch["vz0"]),
        (pitch["ax"], pitch["ay"], pitch["az"]),
    )
    return {
        **_location(pitch, stands, path),
        **_flight(pitch, stands, throws, path),
        **_release(pitch, throws),
        **_situation(pitch, stands, throws),
        **dict(zip(_KINDS, pitch_kinds(pitch["pitch_type"], _KIND_TYPES), strict=True)),
    }


def _location(pitch: Columns, stands: Column, path: Approach) -> Columns:
    x, z, top, bottom = pitch["plate_x"], pitch["plate_z"], pitch["sz_top"], pitch["sz_bot"]
    back_x, back_z = at_plate_back(x, z, path)
    beyond = beyond_zone(np.array([x, back_x]), np.array([z, back_z]), top, bottom)
    edge, back_edge = signed_edge_distance(*beyond)
    across, above, below = (front[0] for front in beyond)
    soft_edge, soft_across, soft_above, soft_below = np.tanh(np.array([edge, across, above, below]) / _EDGE_SCALE_FT)
    height = (z - bottom) / (top - bottom)
    return {
        "plate_x": x,
        "plate_z": z,
        "sz_top": top,
        "sz_bot": bottom,
        "edge_distance": edge,
        "across_edge": across,
        "above_top": above,
        "below_bottom": below,
        "height_in_zone": height,
        "toward_batter": -stands * x,
        "height_by_side": stands * height,
        "soft_edge": soft_edge,
        "soft_across": soft_across,
        "soft_above": soft_above,
        "soft_below": soft_below,
        "back_x": back_x,
        "back_z": back_z,
        "back_edge": back_edge,
    }


def _flight(pitch: Columns, stands: Column, throws: Column, path: Approach) -> Columns:
    horizontal = horizontal_angle(path)
    return {
        "release_speed": pitch["release_speed"],
        "pfx_x": pitch["pfx_x"],
        "pfx_z": pitch["pfx_z"],
        "break_toward_batter": -stands * pitch["pfx_x"],
        "break_to_arm_side": throws * pitch["pfx_x"],
        "vertical_approach": vertical_angle(path),
        "horizontal_approach": horizontal,
        "approach_toward_batter": -stands * horizontal,
        "plate_speed": path.speed,
        "flight_time": path.seconds,
    }


def _release(pitch: Columns, throws: Column) -> Columns:
    axis = np.radians(pitch["spin_axis"])
    return {
        "release_to_arm_side": throws * pitch["release_pos_x"],
        "release_pos_z": pitch["release_pos_z"],
        "release_extension": pitch["release_extension"],
        "release_spin_rate": pitch["release_spin_rate"],
        "spin_to_arm_side": throws * np.sin(axis),
        "spin_upright": np.cos(axis),
        "arm_angle": pitch["arm_angle"],
    }


def _situation(pitch: Columns, stands: Column, throws: Column) -> Columns:
    return {
        "balls": pitch["balls"],
        "strikes": pitch["strikes"],
        "count": _BALLS_PER_WALK * pitch["strikes"] + pitch["balls"],
        "inning": pitch["inning"],
        "outs": pitch["outs_when_up"],
        "on_1b": pitch["on_1b"],
        "on_2b": pitch["on_2b"],
        "on_3b": pitch["on_3b"],
        "lead": pitch["bat_score"] - pitch["fld_score"],
        "times_through": pitch["n_thruorder_pitcher"],
        "pitch_number": pitch["pitch_number"],
        "bats_right": (stands + 1) / 2,
        "throws_right": (throws + 1) / 2,
        "same_side": stands * throws,
        "park": code_or_nan(pitch["park"], Park),
    }


FEATURE_GROUPS: Final = {
    "release": (
        "release_to_arm_side",
        "release_pos_z",
        "release_extension",
        "release_spin_rate",
        "spin_to_arm_side",
        "spin_upright",
        "arm_angle",
    ),
    "kind": tuple(_KINDS),
    "park": ("park",),
    "bases": ("on_1b", "on_2b", "on_3b", "times_through", "pitch_number"),
}  # groups of features that an ensemble member may exclude


def _feature(name: str, unit: str, description: str) -> Feature:
    return Feature(name=name, unit=unit, description=description)


PITCH_FEATURES: Final = FeatureSet(
    name="pitch/1",
    instance=PITCH,
    features=(
        _feature("plate_x", "ft", "sideways at the front of the plate, Statcast plate_x"),
        _feature("plate_z", "ft", "height at the front of the plate, Statcast plate_z"),
        _feature("sz_top", "ft", "top of the batter's zone, Statcast sz_top"),
        _feature("sz_bot", "ft", "bottom of the batter's zone, Statcast sz_bot"),
        _feature("edge_distance", "ft", "from the ball's surface to the rule-book zone, negative inside"),
        _feature("across_edge", "ft", "plate_x beyond the nearer edge of the plate"),
        _feature("above_top", "ft", "plate_z - sz_top"),
        _feature("below_bottom", "ft", "sz_bot - plate_z"),
        _feature("height_in_zone", "", "0 at sz_bot, 1 at sz_top"),
        _feature("toward_batter", "ft", "plate_x, positive toward the batter, by stand"),
        _feature("height_by_side", "", "height_in_zone, its sign turned for left-handed batters"),
        _feature("soft_edge", "", "tanh(edge_distance / 0.12 ft)"),
        _feature("soft_across", "", "tanh(across_edge / 0.12 ft)"),
        _feature("soft_above", "", "tanh(above_top / 0.12 ft)"),
        _feature("soft_below", "", "tanh(below_bottom / 0.12 ft)"),
        _feature("release_speed", "mph", "speed out of the hand, Statcast release_speed"),
        _feature("pfx_x", "ft", "horizontal movement, Statcast pfx_x"),
        _feature("pfx_z", "ft", "induced vertical movement, Statcast pfx_z"),
        _feature("break_toward_batter", "ft", "pfx_x, positive toward the batter, by stand"),
        _feature("break_to_arm_side", "ft", "pfx_x, its sign by p_throws"),
        _feature("vertical_approach", "degrees", "angle at the plate, negative downwards, of vx0 ... az"),
        _feature("horizontal_approach", "degrees", "angle at the plate, positive to the right, of vx0 ... az"),
        _feature("approach_toward_batter", "degrees", "horizontal_approach, positive toward the batter, by stand"),
        _feature("plate_speed", "ft/s", "speed at the front of the plate, of vx0 ... az"),
        _feature("flight_time", "s", "from 50 feet to the front of the plate, of vx0 ... az"),
        _feature("back_x", "ft", "sideways at the back tip of the plate, of plate_x and vx0 ... az"),
        _feature("back_z", "ft", "height at the back tip of the plate, of plate_z and vx0 ... az"),
        _feature("back_edge", "ft", "edge_distance at the back tip of the plate"),
        _feature("release_to_arm_side", "ft", "Statcast release_pos_x, its sign by p_throws"),
        _feature("release_pos_z", "ft", "height of the hand, Statcast release_pos_z"),
        _feature("release_extension", "ft", "how far in front of the rubber, Statcast release_extension"),
        _feature("release_spin_rate", "rpm", "Statcast release_spin_rate"),
        _feature("spin_to_arm_side", "", "sine of Statcast spin_axis, its sign by p_throws"),
        _feature("spin_upright", "", "cosine of Statcast spin_axis"),
        _feature("arm_angle", "degrees", "Statcast arm_angle"),
        _feature("balls", "", "balls before the pitch, Statcast balls"),
        _feature("strikes", "", "strikes before the pitch, Statcast strikes"),
        _feature("count", "", "4 * strikes + balls"),
        _feature("inning", "", "Statcast inning"),
        _feature("outs", "", "outs before the pitch, Statcast outs_when_up"),
        _feature("on_1b", "", "1 where a runner is on first base, Statcast on_1b"),
        _feature("on_2b", "", "1 where a runner is on second base, Statcast on_2b"),
        _feature("on_3b", "", "1 where a runner is on third base, Statcast on_3b"),
        _feature("lead", "runs", "bat_score - fld_score before the pitch"),
        _feature("times_through", "", "which time through the order, Statcast n_thruorder_pitcher"),
        _feature("pitch_number", "", "which pitch of the plate appearance, Statcast pitch_number"),
        _feature("bats_right", "", "1 bats right, 0 bats left, Statcast stand"),
        _feature("throws_right", "", "1 throws right, 0 throws left, Statcast p_throws"),
        _feature("same_side", "", "1 where stand and p_throws are the same side, -1 where not"),
        _feature("park", "", "the number of the park in the contract: tracking and umpires differ a little by park"),
        _feature("is_fastball", "", "1 where pitch_type is FF, SI, FC or FA"),
        _feature("is_breaking", "", "1 where pitch_type is CU, KC, CS, SL, ST, SV or KN"),
        _feature("is_offspeed", "", "1 where pitch_type is CH, FS, FO or SC"),
        *(
            _feature(f"is_{kind.name.lower()}", "", f"1 where pitch_type is {kind.name}, 0 where it is another")
            for kind in _FLAGGED_TYPES
        ),
    ),
    derive=derive,
)
