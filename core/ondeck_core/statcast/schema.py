"""Schema of a Statcast export: names and types of the columns of Baseball Savant's current CSV format.

Source: the header of the CSV export of 2025 (118 columns), without the eight columns that Savant no longer fills.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import polars as pl

FIRST_SEASON: Final = 2008
LAST_SEASON: Final = 2039
NULLS: Final = (
    *("", "null", "NULL", "Null", "NA", "N/A", "n/a", "na", "#N/A", "#N/D", "#NV", "<NA>", "nan", "NaN", "NAN", "NaT"),
    *("None", "none", "NONE", "nil", "\\N", "(null)", "[NULL]", "<null>", "#NULL!", "#VALUE!", "#REF!", "#DIV/0!"),
    *("missing", "undefined", "NA_character_", "NA_integer_", "NA_real_", "1.#QNAN", "-1.#IND", '""', '"NA"'),
    *("-", "--", "\N{EN DASH}", "\N{EM DASH}", ".", "?"),
)  # of Savant, R, pandas, Python, Julia, JavaScript, databases (NULL), spreadsheets (#N/A), statistics programs (.)


class ColumnType(Enum):
    """Type of a column. REAL suffices for values published with up to six digits, DOUBLE is for more digits."""

    TEXT = "text"
    DATE = "date"
    INTEGER = "integer"
    REAL = "real"
    DOUBLE = "double"

    @property
    def polars(self) -> pl.DataType:
        """The corresponding polars type."""
        return _POLARS[self]


_POLARS: Final[dict[ColumnType, pl.DataType]] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.DATE: pl.Date(),
    ColumnType.INTEGER: pl.Int32(),
    ColumnType.REAL: pl.Float32(),
    ColumnType.DOUBLE: pl.Float64(),
}


@dataclass(frozen=True)
class Column:
    """One column. A row without a value in a required column is quarantined, a file without the column is rejected."""

    name: str
    kind: ColumnType
    required: bool = False


def _columns(kind: ColumnType, names: str, *, required: bool = False) -> tuple[Column, ...]:
    return tuple(Column(name, kind, required) for name in names.split())


KEY: Final = ("game_pk", "at_bat_number", "pitch_number")
PLAYER_COLUMNS: Final = ("on_1b", "on_2b", "on_3b", *(f"fielder_{position}" for position in range(2, 10)))
NO_PLAYER: Final = ("-1", "-1.0")  # placeholders of registers and tools for an empty player id

COLUMNS: Final[tuple[Column, ...]] = (
    *_columns(ColumnType.INTEGER, "game_pk at_bat_number pitch_number", required=True),
    *_columns(ColumnType.DATE, "game_date", required=True),
    *_columns(ColumnType.INTEGER, "game_year batter pitcher", required=True),
    *_columns(ColumnType.TEXT, "game_type description", required=True),
    *_columns(ColumnType.INTEGER, "balls strikes outs_when_up inning", required=True),
    *_columns(ColumnType.TEXT, "inning_topbot stand p_throws home_team away_team type", required=True),
    *_columns(ColumnType.TEXT, "player_name events des bb_type pitch_type pitch_name"),
    *_columns(ColumnType.TEXT, "if_fielding_alignment of_fielding_alignment"),
    *_columns(ColumnType.INTEGER, "zone hit_location"),
    *_columns(ColumnType.INTEGER, " ".join(PLAYER_COLUMNS)),
    *_columns(ColumnType.INTEGER, "home_score away_score bat_score fld_score"),
    *_columns(ColumnType.INTEGER, "post_home_score post_away_score post_bat_score post_fld_score"),
    *_columns(ColumnType.INTEGER, "home_score_diff bat_score_diff"),
    *_columns(ColumnType.INTEGER, "woba_denom babip_value iso_value launch_speed_angle hit_distance_sc"),
    *_columns(ColumnType.INTEGER, "release_spin_rate spin_axis age_pit_legacy age_bat_legacy age_pit age_bat"),
    *_columns(ColumnType.INTEGER, "n_thruorder_pitcher n_priorpa_thisgame_player_at_bat"),
    *_columns(ColumnType.INTEGER, "pitcher_days_since_prev_game batter_days_since_prev_game"),
    *_columns(ColumnType.INTEGER, "pitcher_days_until_next_game batter_days_until_next_game"),
    *_columns(ColumnType.REAL, "release_speed effective_speed release_pos_x release_pos_y release_pos_z"),
    *_columns(ColumnType.REAL, "release_extension pfx_x pfx_z plate_x plate_z sz_top sz_bot hc_x hc_y"),
    *_columns(ColumnType.REAL, "launch_speed launch_angle bat_speed swing_length hyper_speed arm_angle"),
    *_columns(ColumnType.REAL, "api_break_z_with_gravity api_break_x_arm api_break_x_batter_in"),
    *_columns(ColumnType.REAL, "estimated_ba_using_speedangle estimated_slg_using_speedangle"),
    *_columns(ColumnType.REAL, "estimated_woba_using_speedangle woba_value"),
    *_columns(ColumnType.REAL, "delta_home_win_exp delta_run_exp delta_pitcher_run_exp home_win_exp bat_win_exp"),
    *_columns(ColumnType.DOUBLE, "vx0 vy0 vz0 ax ay az attack_angle attack_direction swing_path_tilt"),
    *_columns(
        ColumnType.DOUBLE,
        "intercept_ball_minus_batter_pos_x_inches intercept_ball_minus_batter_pos_y_inches",
    ),
)

NAMES: Final = tuple(column.name for column in COLUMNS)
REQUIRED: Final = tuple(column.name for column in COLUMNS if column.required)
SCHEMA: Final = {column.name: column.kind.polars for column in COLUMNS}

RETIRED_COLUMNS: Final = frozenset(
    {
        "spin_dir",
        "spin_rate_deprecated",
        "break_angle_deprecated",
        "break_length_deprecated",
        "tfs_deprecated",
        "tfs_zulu_deprecated",
        "umpire",
        "sv_id",
    }
)
