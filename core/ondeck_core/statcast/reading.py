"""From cells of text to typed rows: a row fits the contract, or it is set aside with its reason and its text."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.contract import COLUMNS, KEY, NULLS, REQUIRED, Column, Kind

FIRST_SEASON: Final = 2008
LAST_SEASON: Final = 2039
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
REASON: Final = "reason"
_ROW: Final = "__row"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What became of a table of cells: `rows` follow the contract; `misfits` are cells with a `reason` each."""

    rows: pl.DataFrame
    misfits: pl.DataFrame

    @property
    def rows_in(self) -> int:
        """How many rows there were; none is lost."""
        return self.rows.height + self.misfits.height


def read_cells(cells: pl.DataFrame) -> Reading:
    """Type a table whose columns are all text; of a key that comes twice the later row is a misfit.

    Raises:
        SourceRefusedError: the table lacks a required column; nothing of it is taken.
    """
    missing = [name for name in REQUIRED if name not in cells.columns]
    if missing:
        raise SourceRefusedError(
            f"not a Statcast export: no column {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more" if len(missing) > len(missing[:5]) else "")
        )
    blank = cells.select(_trimmed(name) for name in cells.columns).with_row_index(_ROW)
    typed = blank.select(_ROW, *(_typed(column, blank) for column in COLUMNS))
    reasons = typed.select(_ROW, pl.coalesce(*_complaints(blank, typed)).alias(REASON))
    fits = reasons[REASON].is_null()
    return Reading(
        rows=typed.filter(fits).drop(_ROW),
        misfits=cells.with_columns(reasons[REASON]).filter(~fits),
    )


def _trimmed(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(text.is_in(NULLS)).then(None).otherwise(text).alias(name)


def _typed(column: Column, cells: pl.DataFrame) -> pl.Expr:
    if column.name not in cells.columns:
        return pl.lit(None, dtype=column.kind.polars).alias(column.name)
    text = pl.col(column.name)
    if column.kind is Kind.DATE:
        return text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if column.kind is Kind.INTEGER:
        return text.str.replace(r"\.0+$", "").cast(pl.Int32, strict=False)
    return text.cast(column.kind.polars, strict=False)


def _complaints(cells: pl.DataFrame, typed: pl.DataFrame) -> list[pl.Series]:
    unreadable = [
        _where(
            cells[column.name].is_not_null() & ~_sound(typed[column.name]),
            f"{column.name}: not of type {column.kind.value}",
        )
        for column in COLUMNS
        if column.kind is not Kind.TEXT and column.name in cells.columns
    ]
    absent = [_where(typed[name].is_null(), f"{name}: is required") for name in REQUIRED]
    wild = [
        _where(~typed[name].is_between(low, high), f"{name}: not from {low} to {high}") for name, low, high in _RANGES
    ]
    again = _where(~typed.select(pl.struct(KEY).is_first_distinct()).to_series(), "key: occurs twice")
    return [*unreadable, *absent, *wild, again]


def _sound(values: pl.Series) -> pl.Series:
    return values.is_finite().fill_null(value=False) if values.dtype.is_float() else values.is_not_null()


def _where(at_fault: pl.Series, reason: str) -> pl.Series:
    rows = at_fault.fill_null(value=False)
    return pl.select(pl.when(rows).then(pl.lit(reason)).otherwise(None)).to_series()
