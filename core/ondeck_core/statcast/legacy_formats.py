"""Exports of other years, with the names and the units of today.

Until 2016 Savant wrote PITCHf/x's names, movement in inches, events and descriptions as words, and named neither the
plate appearance nor the pitch; until 2020 two columns stood twice in the header, and "null" where nothing was known.
Tools that rewrite an export number the second of two such columns.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ondeck_core.statcast.schema import EMPTIED, NAMES, NOBODY, PLAYER_COLUMNS

_MARK_OF_2016: Final = "start_speed"
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
_IN_INCHES: Final = ("pfx_x", "pfx_z")
_IN_WORDS: Final = ("events", "description")
_NOUGHT_IS_NOTHING: Final = ("hc_x", "hc_y", "hit_location", "bb_type")
_OF_2016_ALONE: Final = frozenset({"pitch_id", "spin_rate", "break_angle", "break_length", "tfs", "tfs_zulu"})
_REPEATED: Final = ("pitcher", "fielder_2")
_REPEATS: Final = frozenset(f"{name}{end}" for name in _REPEATED for end in ("_1", ".1", "_duplicated_0"))
_INCHES_A_FOOT: Final = 12


@dataclass(frozen=True, kw_only=True)
class CurrentFormat:
    """Cells under today's names; `unknown` are columns that no generation has had."""

    cells: pl.DataFrame
    unknown: tuple[str, ...]


def modernized(cells: pl.DataFrame) -> CurrentFormat:
    """Give cells of text, nothing being null, the names and units of today; whatever is unknown stays as it is."""
    old = _MARK_OF_2016 in cells.columns
    renamed = _from_2016(cells) if old else cells
    needless = _REPEATS | EMPTIED | (_OF_2016_ALONE if old else frozenset())
    kept = renamed.drop([name for name in renamed.columns if name in needless])
    known = set(NAMES)
    return CurrentFormat(
        cells=kept.with_columns(_unless_nobody(name) for name in PLAYER_COLUMNS if name in kept.columns),
        unknown=tuple(name for name in kept.columns if name not in known),
    )


def _from_2016(cells: pl.DataFrame) -> pl.DataFrame:
    there = set(cells.columns)
    renamed = cells.rename({old: new for old, new in _RENAMED.items() if old in there and new not in there})
    present = set(renamed.columns)
    return renamed.with_columns(
        *(_feet(name) for name in _IN_INCHES if name in present),
        *(_code(name) for name in _IN_WORDS if name in present),
        *(_unless_nought(name) for name in _NOUGHT_IS_NOTHING if name in present),
        *(pl.col(name).str.to_titlecase() for name in ("inning_topbot",) if name in present),
    )


def _unless_nobody(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_in(NOBODY)).then(None).otherwise(pl.col(name)).alias(name)


def _feet(name: str) -> pl.Expr:
    feet = pl.col(name).cast(pl.Float64, strict=False) / _INCHES_A_FOOT
    return pl.when(feet.is_null()).then(pl.col(name)).otherwise(feet.round(4).cast(pl.String)).alias(name)


def _code(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().str.replace_all(r"[^a-z]+", "_").str.strip_chars("_")


def _unless_nought(name: str) -> pl.Expr:
    nought = pl.col(name).cast(pl.Float64, strict=False) == 0
    return pl.when(nought).then(None).otherwise(pl.col(name)).alias(name)
