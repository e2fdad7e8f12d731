"""What keeps a row from being stored: a code for programs, a text for people."""

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
_BETWEEN: Final = "\t"


def own_complaints(cells: pl.DataFrame, typed: pl.DataFrame) -> pl.Series:
    """Tell for each row what is wrong with it first, whatever the others are; null for a row that fits."""
    return pl.select(
        pl.coalesce(*_unreadable(cells, typed), *_missing(typed), *_wild(typed), _other_year(typed))
    ).to_series()


def complaints(own: pl.Series, typed: pl.DataFrame) -> pl.DataFrame:
    """Tell as `code` and `reason` what is wrong with each row, be it beside others that fit; null where nothing is."""
    found = pl.select(pl.coalesce(own, *_beside_others(typed, own.is_null()))).to_series()
    parts = found.str.split_exact(_BETWEEN, 1)
    return pl.DataFrame({CODE: parts.struct.field("field_0"), REASON: parts.struct.field("field_1")})


def _unreadable(cells: pl.DataFrame, typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _where(
            cells[column.name].is_not_null() & ~_sound(typed[column.name]),
            UNREADABLE,
            f"{column.name}: not of type {column.kind.value}",
        )
        for column in COLUMNS
        if column.kind is not ColumnType.TEXT and column.name in cells.columns
    ]


def _missing(typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _where(typed[name].is_null(), NO_KEY if name in KEY else MISSING, f"{name}: is required") for name in REQUIRED
    ]


def _wild(typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _where(~typed[name].is_between(low, high), OUT_OF_RANGE, f"{name}: not from {low} to {high}")
        for name, low, high in _RANGES
    ]


def _other_year(typed: pl.DataFrame) -> pl.Series:
    return _where(typed["game_date"].dt.year() != typed["game_year"], CONTRADICTORY, "game_date: not in game_year")


def _beside_others(typed: pl.DataFrame, fits: pl.Series) -> list[pl.Series]:
    fitting = typed.select(*KEY, "game_year").with_row_index("row").filter(fits)
    again = fitting.filter(~pl.struct(KEY).is_first_distinct())["row"]
    elsewhen = fitting.filter(pl.col("game_year") != pl.col("game_year").first().over("game_pk"))["row"]
    rows = pl.int_range(typed.height, eager=True, dtype=pl.UInt32)
    return [
        _where(rows.is_in(again.implode()), REPEATED_KEY, "key: occurs twice"),
        _where(rows.is_in(elsewhen.implode()), CONTRADICTORY, "game_year: not that of the game's other pitches"),
    ]


def _sound(values: pl.Series) -> pl.Series:
    return values.is_finite().fill_null(value=False) if values.dtype.is_float() else values.is_not_null()


def _where(at_fault: pl.Series, code: str, reason: str) -> pl.Series:
    rows = at_fault.fill_null(value=False)
    return pl.select(pl.when(rows).then(pl.lit(f"{code}{_BETWEEN}{reason}")).otherwise(None)).to_series()
