"""Conversion of older Statcast exports to the current column names and units.

Until 2016 Savant used PITCHf/x column names, movement in inches and events and descriptions in words, without the
numbers of the plate appearance and the pitch. Until 2020 two columns occurred twice in the header and missing values
were "null". Tools that rewrite an export add a number to the second of the two columns.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ondeck_core.statcast.schema import NAMES, NO_PLAYER, PLAYER_COLUMNS, RETIRED_COLUMNS

_COLUMN_UNTIL_2016: Final = "start_speed"
_RENAMED: Final = {
    "start_speed": "release_speed",
    "x0": "release_pos_x",
    "z0": "release_pos_z",
    "px": "plate_x",
    "pz": "plate_z",
    "hit_speed": "launch_speed",
    "hit_angle": "launch_angle",
    "catcher": "fielder_2",
}
_INCH_COLUMNS: Final = ("pfx_x", "pfx_z")
_WORD_COLUMNS: Final = ("events", "description")
_ZERO_IS_MISSING: Final = ("hc_x", "hc_y", "hit_location", "bb_type")
_ONLY_UNTIL_2016: Final = frozenset({"pitch_id", "spin_rate", "break_angle", "break_length", "tfs", "tfs_zulu"})
_DUPLICATED: Final = ("pitcher", "fielder_2")
_DUPLICATE_COLUMNS: Final = frozenset(f"{name}{end}" for name in _DUPLICATED for end in ("_1", ".1", "_duplicated_0"))
_INCHES_PER_FOOT: Final = 12


@dataclass(frozen=True, kw_only=True)
class CurrentFormat:
    """Cells with the current column names; `unknown` are columns of no known format."""

    cells: pl.DataFrame
    unknown: tuple[str, ...]


def to_current_format(cells: pl.DataFrame) -> CurrentFormat:
    """Convert text cells to the current names and units; unknown columns are unchanged."""
    is_old = _COLUMN_UNTIL_2016 in cells.columns
    renamed = _convert_2016(cells) if is_old else cells
    obsolete = _DUPLICATE_COLUMNS | RETIRED_COLUMNS | (_ONLY_UNTIL_2016 if is_old else frozenset())
    kept = renamed.drop([name for name in renamed.columns if name in obsolete])
    known = set(NAMES)
    return CurrentFormat(
        cells=kept.with_columns(_null_if_no_player(name) for name in PLAYER_COLUMNS if name in kept.columns),
        unknown=tuple(name for name in kept.columns if name not in known),
    )


def _convert_2016(cells: pl.DataFrame) -> pl.DataFrame:
    names = set(cells.columns)
    renamed = cells.rename({old: new for old, new in _RENAMED.items() if old in names and new not in names})
    present = set(renamed.columns)
    return renamed.with_columns(
        *(_inches_to_feet(name) for name in _INCH_COLUMNS if name in present),
        *(_words_to_code(name) for name in _WORD_COLUMNS if name in present),
        *(_null_if_zero(name) for name in _ZERO_IS_MISSING if name in present),
        *(pl.col(name).str.to_titlecase() for name in ("inning_topbot",) if name in present),
    )


def _null_if_no_player(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_in(NO_PLAYER)).then(None).otherwise(pl.col(name)).alias(name)


def _inches_to_feet(name: str) -> pl.Expr:
    feet = pl.col(name).cast(pl.Float64, strict=False) / _INCHES_PER_FOOT
    return pl.when(feet.is_null()).then(pl.col(name)).otherwise(feet.round(4).cast(pl.String)).alias(name)


def _words_to_code(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().str.replace_all(r"[^a-z]+", "_").str.strip_chars("_")


def _null_if_zero(name: str) -> pl.Expr:
    is_zero = pl.col(name).cast(pl.Float64, strict=False) == 0
    return pl.when(is_zero).then(None).otherwise(pl.col(name)).alias(name)
