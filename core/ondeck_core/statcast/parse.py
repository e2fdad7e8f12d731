"""From cells of text to typed rows: a row fits the contract, or it is set aside with its reason and its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.legacy_formats import modernized
from ondeck_core.statcast.row_checks import CODE, NO_KEY, REASON, complaints, own_complaints
from ondeck_core.statcast.schema import COLUMNS, KEY, NAMES, NULLS, REQUIRED, SCHEMA, Column, ColumnType

EXTRA: Final = "extra"
AS_IT_CAME: Final = " (as it came)"
ROWS_AT_ONCE: Final = 32_768  # as text a row takes ten times the memory that it takes typed
RULE: Final = "rule"


@dataclass(frozen=True, kw_only=True)
class CorrectionRule:
    """Where a row that was set aside says all of `cells`, it is to say `instead`; "" is nothing. Texts by column."""

    number: int
    cells: Mapping[str, str]
    instead: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ParseResult:
    """What became of a table of cells.

    `rows` follow the contract, with what is unknown of each as JSON in `extra`; `misfits` are cells as they came, with
    a `code` and a `reason` each; `keyless` are those among them that have no key, typed; `mended` are the cells, as
    they came, of rows that fit thanks to a `rule`, with what is wrong without it; `misfits_at` and `mended_at` are
    their positions in the table. `unknown` names columns that no export has had before, `untold` those of `rows` that
    this one does not have: of them it says nothing, not that there is nothing.
    """

    rows: pl.DataFrame
    misfits: pl.DataFrame
    misfits_at: pl.Series
    keyless: pl.DataFrame
    mended: pl.DataFrame
    mended_at: pl.Series
    unknown: tuple[str, ...]
    untold: tuple[str, ...]

    @property
    def rows_in(self) -> int:
        """How many rows there were; none is lost."""
        return self.rows.height + self.misfits.height


def read_cells(cells: pl.DataFrame, rules: Sequence[CorrectionRule] = ()) -> ParseResult:
    """Type a table whose columns are all text, of whatever year; of a key that comes twice the later row is a misfit.

    Of the rows that do not fit, those that a rule meets are read as it says.

    Raises:
        SourceRefusedError: the table lacks a required column; nothing of it is taken.
    """
    judged, at = _judge(cells), pl.int_range(cells.height, eager=True)
    misfits = cells.filter(~judged.fits)
    better, met = mended(misfits, rules)
    if met.is_null().all():
        return _reading(cells, judged, at)
    fitting = cells.filter(judged.fits)
    again = _judge(pl.concat([fitting, better]))
    fits_now = again.fits.tail(misfits.height) & met.is_not_null()
    complaints_then = judged.wrong.filter(~judged.fits).with_columns(met)
    return replace(
        _reading(pl.concat([fitting, misfits]), again, pl.concat([at.filter(judged.fits), at.filter(~judged.fits)])),
        mended=_apart(misfits.filter(fits_now)).with_columns(complaints_then.filter(fits_now)),
        mended_at=at.filter(~judged.fits).filter(fits_now),
    )


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Rows, typed, and what is wrong with each."""

    typed: pl.DataFrame
    wrong: pl.DataFrame
    unknown: tuple[str, ...]
    untold: tuple[str, ...]

    @property
    def fits(self) -> pl.Series:
        return self.wrong[REASON].is_null()


def _judge(cells: pl.DataFrame) -> _Judged:
    parts = [_read(part) for part in cells.iter_slices(ROWS_AT_ONCE)] or [_read(cells)]
    typed = pl.concat([part.typed for part in parts])
    wrong = complaints(pl.concat([part.wrong for part in parts]), typed)
    return _Judged(typed=typed, wrong=wrong, unknown=parts[0].unknown, untold=parts[0].untold)


def _reading(as_they_came: pl.DataFrame, judged: _Judged, at: pl.Series) -> ParseResult:
    fits = judged.fits
    return ParseResult(
        rows=with_pitchers_names_alone(judged.typed.filter(fits)),
        misfits=_apart(as_they_came.filter(~fits)).with_columns(judged.wrong.filter(~fits)),
        misfits_at=at.filter(~fits),
        keyless=judged.typed.filter((judged.wrong[CODE] == NO_KEY).fill_null(value=False)),
        mended=as_they_came.clear(),
        mended_at=at.clear(),
        unknown=judged.unknown,
        untold=judged.untold,
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Some rows, typed, and what is wrong with each of them alone."""

    typed: pl.DataFrame
    wrong: pl.Series
    unknown: tuple[str, ...]
    untold: tuple[str, ...]


def _read(cells: pl.DataFrame) -> _Part:
    modern = modernized(cells.select(_trimmed(name) for name in cells.columns))
    _refuse_missing(modern.cells)
    typed = modern.cells.select(*(_typed(column, modern.cells) for column in COLUMNS), _extra(modern.unknown))
    untold = tuple(name for name in NAMES if name not in modern.cells.columns) + (() if modern.unknown else (EXTRA,))
    return _Part(typed=typed, wrong=own_complaints(modern.cells, typed), unknown=modern.unknown, untold=untold)


def _apart(cells: pl.DataFrame) -> pl.DataFrame:
    """Keep columns that happen to be called as ours beside them."""
    return cells.rename({name: f"{name}{AS_IT_CAME}" for name in (CODE, REASON, RULE) if name in cells.columns})


def _refuse_missing(cells: pl.DataFrame) -> None:
    missing = [name for name in REQUIRED if name not in cells.columns]
    if not missing or set(missing) == set(KEY) - {"game_pk"}:
        return  # the exports that name no plate appearance are read, and their rows set aside
    shown = ", ".join(missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > len(missing[:5]) else ""
    raise SourceRefusedError(f"not a Statcast export: no column {shown}{more}")


def _extra(unknown: tuple[str, ...]) -> pl.Expr:
    if not unknown:
        return pl.lit(None, dtype=pl.String).alias(EXTRA)
    anything = pl.any_horizontal(pl.col(name).is_not_null() for name in unknown)
    return pl.when(anything).then(pl.struct(unknown).struct.json_encode()).otherwise(None).alias(EXTRA)


def _trimmed(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(text.is_in(NULLS)).then(None).otherwise(text).alias(name)


def _typed(column: Column, cells: pl.DataFrame) -> pl.Expr:
    if column.name not in cells.columns:
        return pl.lit(None, dtype=SCHEMA[column.name]).alias(column.name)
    text = pl.col(column.name)
    if column.kind is ColumnType.DATE:
        return text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if column.kind is ColumnType.INTEGER:
        return text.str.replace(r"\.0+$", "").cast(pl.Int32, strict=False)
    return text.cast(SCHEMA[column.name], strict=False)


def mended(misfits: pl.DataFrame, rules: Sequence[CorrectionRule]) -> tuple[pl.DataFrame, pl.Series]:
    """Apply rules, one after the other, to cells of text; tells for each row the last rule that met it, or null."""
    cells, met = misfits, pl.Series(RULE, [None] * misfits.height, dtype=pl.Int64)
    for rule in rules:
        if not {*rule.cells, *rule.instead} <= set(cells.columns):
            continue
        meets = cells.select(_meets(rule)).to_series()
        cells = cells.with_columns(
            pl.when(meets).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
            for name, value in rule.instead.items()
        )
        met = pl.select(pl.when(meets).then(rule.number).otherwise(met).cast(pl.Int64)).to_series()
    return cells, met.alias(RULE)


def _meets(rule: CorrectionRule) -> pl.Expr:
    said = [pl.col(name).fill_null("").str.strip_chars() == value for name, value in rule.cells.items()]
    return reduce(lambda met, each: met & each, said, pl.lit(value=True))


NAME: Final = "player_name"
_SHARED: Final = 1.05  # pitchers to a name: a few men share one
_FACED: Final = 1.5  # batters to a name: more than men who share one could be
_TOLD: Final = 0.1  # of the plays: a description begins with the batter, hardly ever with a man of the pitcher's name


def with_pitchers_names_alone(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep names that are surely the pitchers', and none where they are the batters' or it cannot be told.

    They are the pitchers' if one pitcher goes with each name, more batters than that, and no play begins with them.
    """
    named = rows.filter(pl.col(NAME).is_not_null())
    pitchers, batters = _men_to_a_name(named, "pitcher"), _men_to_a_name(named, "batter")
    if pitchers <= _SHARED and batters >= _FACED and _share_told_of(named) < _TOLD:
        return rows
    return rows.with_columns(pl.lit(None, dtype=pl.String).alias(NAME))


def _men_to_a_name(named: pl.DataFrame, role: str) -> float:
    names = named[NAME].n_unique()
    return named.select(NAME, role).n_unique() / names if names else 0.0


def _share_told_of(named: pl.DataFrame) -> float:
    first_last = pl.col(NAME).str.replace(r"^(.+), (.+)$", "$2 $1")
    share = named.select(pl.col("des").str.starts_with(first_last).mean()).item()
    return float(share or 0.0)
