"""Checks that a typed row must pass to be stored. A fault is a stable code with a readable reason."""

from typing import Final

import polars as pl

from ondeck_core.statcast.schema import COLUMNS, KEY, PLAYER_COLUMNS, REQUIRED, ColumnType

FIRST_SEASON: Final = 2008
LAST_SEASON: Final = 2039
REASON: Final = "reason"
CODE: Final = "code"
UNREADABLE, MISSING, OUT_OF_RANGE, CONTRADICTORY, REPEATED_KEY, NO_KEY = (
    "unreadable",
    "missing",
    "out_of_range",
    "contradictory",
    "repeated_key",
    "no_key",
)
_IDS: Final = ("game_pk", "batter", "pitcher", *PLAYER_COLUMNS)
_RANGES: Final = (
    ("balls", 0, 3),
    ("strikes", 0, 2),
    ("outs_when_up", 0, 2),
    ("inning", 1, 99),
    ("at_bat_number", 1, 999),
    ("pitch_number", 1, 999),
    ("game_year", FIRST_SEASON, LAST_SEASON),
    *((name, 1, 2**31 - 1) for name in _IDS),
)
_SEPARATOR: Final = "\t"


def find_row_faults(cells: pl.DataFrame, typed: pl.DataFrame) -> pl.Series:
    """Return the first fault of each row on its own as `code<TAB>reason`; null for a valid row."""
    return pl.select(
        pl.coalesce(
            *_find_unreadable(cells, typed), *_find_missing(typed), *_find_out_of_range(typed), _find_wrong_year(typed)
        )
    ).to_series()


def find_faults(own: pl.Series, typed: pl.DataFrame) -> pl.DataFrame:
    """Return the `code` and `reason` of each row's fault, including conflicts with other valid rows; null if valid."""
    found = pl.select(pl.coalesce(own, *_find_conflicts(typed, own.is_null()))).to_series()
    parts = found.str.split_exact(_SEPARATOR, 1)
    return pl.DataFrame({CODE: parts.struct.field("field_0"), REASON: parts.struct.field("field_1")})


def _find_unreadable(cells: pl.DataFrame, typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _mark(
            cells[column.name].is_not_null() & ~_is_readable(typed[column.name]),
            UNREADABLE,
            f"{column.name}: not of type {column.kind.value}",
        )
        for column in COLUMNS
        if column.kind is not ColumnType.TEXT and column.name in cells.columns
    ]


def _find_missing(typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _mark(typed[name].is_null(), NO_KEY if name in KEY else MISSING, f"{name}: is required") for name in REQUIRED
    ]


def _find_out_of_range(typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _mark(~typed[name].is_between(low, high), OUT_OF_RANGE, f"{name}: not from {low} to {high}")
        for name, low, high in _RANGES
    ]


def _find_wrong_year(typed: pl.DataFrame) -> pl.Series:
    return _mark(typed["game_date"].dt.year() != typed["game_year"], CONTRADICTORY, "game_date: not in game_year")


def _find_conflicts(typed: pl.DataFrame, valid: pl.Series) -> list[pl.Series]:
    keys = typed.select(*KEY, "game_year").with_row_index("row").filter(valid)
    repeated = keys.filter(~pl.struct(KEY).is_first_distinct())["row"]
    other_year = keys.filter(pl.col("game_year") != pl.col("game_year").first().over("game_pk"))["row"]
    rows = pl.int_range(typed.height, eager=True, dtype=pl.UInt32)
    return [
        _mark(rows.is_in(repeated.implode()), REPEATED_KEY, "key: occurs twice"),
        _mark(rows.is_in(other_year.implode()), CONTRADICTORY, "game_year: not that of the game's other pitches"),
    ]


def _is_readable(values: pl.Series) -> pl.Series:
    return values.is_finite().fill_null(value=False) if values.dtype.is_float() else values.is_not_null()


def _mark(invalid: pl.Series, code: str, reason: str) -> pl.Series:
    rows = invalid.fill_null(value=False)
    return pl.select(pl.when(rows).then(pl.lit(f"{code}{_SEPARATOR}{reason}")).otherwise(None)).to_series()
