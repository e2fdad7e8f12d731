"""Conversion of text cells to the types of the schema, and the checks that a row must pass to be stored.

A fault is a stable code with a readable reason. Only required columns decide: a row whose other cells cannot be read is
stored without these cells, whose texts are kept.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from ondeck_core.statcast.legacy_codes import CODES
from ondeck_core.statcast.schema import (
    COLUMNS,
    FIRST_SEASON,
    KEY,
    LAST_SEASON,
    NULLS,
    PLAYER_COLUMNS,
    REQUIRED,
    SCHEMA,
    Column,
    ColumnType,
)

UNREADABLE_CELLS: Final = "unreadable_cells"
_KINDS: Final = {column.name: column.kind.value for column in COLUMNS}
REASON: Final = "reason"
CODE: Final = "code"
REASON_CODES: Final = ("unreadable", "missing", "out_of_range", "contradictory", "repeated_key", "no_key")
UNREADABLE, MISSING, OUT_OF_RANGE, CONTRADICTORY, REPEATED_KEY, NO_KEY = REASON_CODES
_RANGES: Final = (
    ("balls", 0, 3),
    ("strikes", 0, 2),
    ("outs_when_up", 0, 2),
    ("inning", 1, 99),
    ("at_bat_number", 1, 999),
    ("pitch_number", 1, 999),
    ("game_year", FIRST_SEASON, LAST_SEASON),
    *((name, 1, 2**31 - 1) for name in ("game_pk", "batter", "pitcher")),
)
_SEPARATOR: Final = "\t"


@dataclass(frozen=True, kw_only=True)
class UnreadableColumn:
    """An optional column with cells that are not of its type: how many rows were stored without them, and one text."""

    name: str
    rows: int
    sample: str

    def __str__(self) -> str:
        return f"{self.name}: cell left out, not of type {_KINDS[self.name]}, for example {self.sample!r}"


def trim(name: str) -> pl.Expr:
    """Strip a column of text; the usual words for an absent value become null."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(text.is_in(NULLS)).then(None).otherwise(text).alias(name)


def to_type(column: Column, cells: pl.DataFrame) -> pl.Expr:
    """Read a column of text; null where the text is not of its type or, in optional columns of players, is no id."""
    if column.name not in cells.columns:
        return pl.lit(None, dtype=SCHEMA[column.name]).alias(column.name)
    text = pl.col(column.name)
    if column.kind is ColumnType.TEXT:
        return text
    if column.kind is ColumnType.DATE:
        return text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if column.kind is ColumnType.INTEGER:
        number = text.cast(pl.Int32, strict=False)
        if cells.select(text.is_not_null() & number.is_null()).to_series().any():
            number = _to_integer(text)  # slow, and few exports need it
        return pl.when((number > 0) | pl.lit(column.name not in PLAYER_COLUMNS)).then(number).alias(column.name)
    number = text.cast(SCHEMA[column.name], strict=False)
    return pl.when(number.is_finite()).then(number).alias(column.name)


def _to_integer(text: pl.Expr) -> pl.Expr:
    """Read integers, also in the exponent form of R (7e+05) or of a spreadsheet unless it is rounded (7.46E+05).

    R writes an exponent only where that is shorter, so that a form with few decimals (7.46e+05) is rounded, too.
    """
    plain = text.str.replace(r"\.0+$", "").cast(pl.Int32, strict=False)
    digits = text.str.extract(r"^[+-]?\d(?:\.(\d+))?[eE]\+?\d+$").str.len_bytes()
    exponent = text.str.extract(r"^[+-]?\d(?:\.\d+)?[eE]\+?(\d{1,2})$").cast(pl.Int64, strict=False)
    is_short = text.str.contains(r"^[+-]?\de")
    is_exact = is_short | (digits.fill_null(0) >= exponent)
    exact = pl.when(exponent.is_not_null() & is_exact).then(text.cast(pl.Float64, strict=False)).otherwise(None)
    whole = pl.when(exact.round() == exact).then(exact)
    return pl.coalesce(plain, whole.cast(pl.Int32, strict=False))


def find_unreadable_cells(cells: pl.DataFrame, typed: pl.DataFrame) -> pl.Series:
    """Return for each row its texts in optional columns that are not of their type, as JSON by column; null if none."""
    names = [column.name for column in COLUMNS if not column.required and column.name in cells.columns]
    rows_of = {name: (cells[name].is_not_null() & typed[name].is_null()).arg_true() for name in names}
    texts: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for name, rows in rows_of.items():
        for row, text in zip(rows, cells[name].gather(rows), strict=True):
            texts[row][name] = text
    found = [json.dumps(texts[row], ensure_ascii=False) if row in texts else None for row in range(typed.height)]
    return pl.Series(UNREADABLE_CELLS, found, dtype=pl.String)


def summarize_unreadable(cells: pl.Series) -> tuple[UnreadableColumn, ...]:
    """Count the rows with unreadable cells by column, the most frequent first."""
    texts: Sequence[Mapping[str, str]] = [json.loads(each) for each in cells.drop_nulls()]
    counts = Counter(name for each in texts for name in each)
    samples = {name: text for each in reversed(texts) for name, text in each.items()}
    return tuple(UnreadableColumn(name=name, rows=rows, sample=samples[name]) for name, rows in counts.most_common())


def count_unknown_codes(rows: pl.DataFrame) -> dict[str, int]:
    """Count by column the rows with codes of no known export, with one of them; they are stored as they came."""
    counts: dict[str, int] = {}
    for name, codes in CODES.items():
        unknown = rows[name].drop_nulls().filter(~rows[name].drop_nulls().is_in(list(codes)))
        if len(unknown):
            counts[f"{name}: code not known, stored as it came, for example {unknown[0]!r}"] = len(unknown)
    return counts


def find_row_faults(cells: pl.DataFrame, typed: pl.DataFrame) -> pl.Series:
    """Return the first fault of each row on its own as `code<TAB>reason`; null for a valid row.

    That its key is missing comes last: such a row has no other fault.
    """
    return pl.select(
        pl.coalesce(
            *_find_unreadable(cells, typed),
            *_find_missing(typed, MISSING, [name for name in REQUIRED if name not in KEY]),
            *_find_out_of_range(typed),
            _find_wrong_year(typed),
            *_find_missing(typed, NO_KEY, KEY),
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
            cells[column.name].is_not_null() & typed[column.name].is_null(),
            UNREADABLE,
            f"{column.name}: not of type {column.kind.value}",
        )
        for column in COLUMNS
        if column.required and column.kind is not ColumnType.TEXT and column.name in cells.columns
    ]


def _find_missing(typed: pl.DataFrame, code: str, names: Sequence[str]) -> list[pl.Series]:
    return [_mark(typed[name].is_null(), code, f"{name}: is required") for name in names]


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


def _mark(invalid: pl.Series, code: str, reason: str) -> pl.Series:
    rows = invalid.fill_null(value=False)
    return pl.select(pl.when(rows).then(pl.lit(f"{code}{_SEPARATOR}{reason}")).otherwise(None)).to_series()
