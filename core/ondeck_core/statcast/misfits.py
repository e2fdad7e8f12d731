"""What keeps a row from being stored: a code for programs, a text for people."""

from typing import Final

import polars as pl

from ondeck_core.statcast.contract import COLUMNS, KEY, REQUIRED, Kind

FIRST_SEASON: Final = 2008
LAST_SEASON: Final = 2039
REASON: Final = "reason"
CODE: Final = "code"
UNREADABLE, MISSING, OUT_OF_RANGE, REPEATED_KEY, NO_KEY = (
    "unreadable",
    "missing",
    "out_of_range",
    "repeated_key",
    "no_key",
)
_RANGES: Final = (
    ("balls", 0, 3),
    ("strikes", 0, 2),
    ("outs_when_up", 0, 2),
    ("inning", 1, 99),
    ("game_year", FIRST_SEASON, LAST_SEASON),
    ("game_pk", 1, 2**31 - 1),
    ("batter", 1, 2**31 - 1),
    ("pitcher", 1, 2**31 - 1),
)
_BETWEEN: Final = "\t"


def complaints(cells: pl.DataFrame, typed: pl.DataFrame) -> pl.DataFrame:
    """Tell for each row what is wrong first, as `code` and `reason`; both are null for a row that fits."""
    found = pl.select(pl.coalesce(*_unreadable(cells, typed), *_missing(typed), *_wild(typed), _again(typed)))
    parts = found.to_series().str.split_exact(_BETWEEN, 1)
    return pl.DataFrame({CODE: parts.struct.field("field_0"), REASON: parts.struct.field("field_1")})


def _unreadable(cells: pl.DataFrame, typed: pl.DataFrame) -> list[pl.Series]:
    return [
        _where(
            cells[column.name].is_not_null() & ~_sound(typed[column.name]),
            UNREADABLE,
            f"{column.name}: not of type {column.kind.value}",
        )
        for column in COLUMNS
        if column.kind is not Kind.TEXT and column.name in cells.columns
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


def _again(typed: pl.DataFrame) -> pl.Series:
    first = typed.select(pl.struct(KEY).is_first_distinct()).to_series()
    return _where(~first, REPEATED_KEY, "key: occurs twice")


def _sound(values: pl.Series) -> pl.Series:
    return values.is_finite().fill_null(value=False) if values.dtype.is_float() else values.is_not_null()


def _where(at_fault: pl.Series, code: str, reason: str) -> pl.Series:
    rows = at_fault.fill_null(value=False)
    return pl.select(pl.when(rows).then(pl.lit(f"{code}{_BETWEEN}{reason}")).otherwise(None)).to_series()
