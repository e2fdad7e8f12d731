"""Parsing of Statcast exports: text cells become typed rows; invalid rows are rejected with their fault and cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.export_formats import to_current_format
from ondeck_core.statcast.row_checks import (
    CODE,
    NO_KEY,
    REASON,
    UNREADABLE_CELLS,
    UnreadableColumn,
    find_faults,
    find_row_faults,
    find_unreadable_cells,
    summarize_unreadable,
    to_type,
    trim,
)
from ondeck_core.statcast.schema import COLUMNS, KEY, NAMES, REQUIRED

EXTRA: Final = "extra"
RULE: Final = "rule"
ORIGINAL_SUFFIX: Final = " (as it came)"  # suffix of export columns that are named as columns of the result
CHUNK_ROWS: Final = 32_768  # a row of text takes ten times the memory of a typed row
_NO_KEY_ADVICE: Final = (
    ". Without the numbers of the plate appearance and the pitch, as until 2016, no pitch can be identified: "
    "download these days anew; `ondeck evaluate` takes the file as it is"
)
_PLAYER_NAME: Final = "player_name"
_MAX_PITCHERS_PER_NAME: Final = 1.05  # few pitchers share a name
_MIN_BATTERS_PER_NAME: Final = 1.5  # more than the batters who share a name
_MAX_NAME: Final = 60  # characters of a column name in a message
_MAX_SUBJECT_SHARE: Final = 0.1  # of the play descriptions, which begin with the batter's name


@dataclass(frozen=True, kw_only=True)
class CorrectionRule:
    """Correction of rejected rows: where all `cells` match, those of `replacement` are set. "" is a missing value.

    A rule never changes a valid row, and a corrected row never replaces a valid row with the same key.
    """

    number: int
    cells: Mapping[str, str]
    replacement: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ParseResult:
    """Result of parsing a table of text cells.

    `rows` are the valid rows, typed, with the unknown columns as JSON in `extra`, and the texts of optional cells that
    are not of their type in `unreadable_cells`, which `unreadable` summarizes. `rejected` are the original cells of
    the rejected rows with `code` and `reason`; `rejected_keys` are their keys as far as they are
    readable, `keyless` are the rejected rows whose only fault is that they have no complete key, typed.
    `corrected` are the original cells of the rows that a `rule` corrected, with the fault before correction. The
    positions are those of the rows in the table. `unknown` are columns of no known format; `absent` are columns of
    `rows` that the export does not contain: their stored values are to be kept.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    rejected_positions: pl.Series
    rejected_keys: pl.DataFrame
    keyless: pl.DataFrame
    corrected: pl.DataFrame
    corrected_positions: pl.Series
    unknown: tuple[str, ...]
    absent: tuple[str, ...]
    unreadable: tuple[UnreadableColumn, ...]

    @property
    def rows_in(self) -> int:
        """Number of rows in the table."""
        return self.rows.height + self.rejected.height


def parse_cells(cells: pl.DataFrame, rules: Sequence[CorrectionRule] = ()) -> ParseResult:
    """Parse a table of text cells in any known format; of rows with the same key the first is kept.

    Rejected rows that match a correction rule are corrected and checked again.

    Raises:
        SourceRefusedError: the table lacks a required column.
    """
    checked, positions = _check(cells), pl.int_range(cells.height, eager=True)
    invalid = cells.filter(~checked.is_valid)
    corrected, applied_rule = _apply_rules(invalid, rules)
    if applied_rule.is_null().all():
        return _to_result(cells, checked, positions)
    valid = cells.filter(checked.is_valid)
    rechecked = _check(pl.concat([valid, corrected]))
    became_valid = rechecked.is_valid.tail(invalid.height) & applied_rule.is_not_null()
    invalid_positions = positions.filter(~checked.is_valid)
    first_faults = checked.faults.filter(~checked.is_valid).with_columns(applied_rule)
    return replace(
        _to_result(
            pl.concat([valid, invalid]), rechecked, pl.concat([positions.filter(checked.is_valid), invalid_positions])
        ),
        corrected=_rename_reserved(invalid.filter(became_valid)).with_columns(first_faults.filter(became_valid)),
        corrected_positions=invalid_positions.filter(became_valid),
    )


def count_reasons(result: ParseResult) -> dict[str, int]:
    """Count the rejected rows by reason, the most frequent first."""
    return dict(result.rejected[REASON].value_counts(sort=True).iter_rows())


def reject_unusable(result: ParseResult) -> None:
    """Reject a table of which no row is valid.

    Raises:
        SourceRefusedError: with the most frequent reason and a sample of the column that it names.
    """
    if result.rows.height or not result.rejected.height:
        return
    reason, count = next(iter(count_reasons(result).items()))
    column = reason.partition(":")[0]
    with_reason = result.rejected.filter(pl.col(REASON) == reason)
    sample = f", for example {with_reason[column][0]!r}" if column in with_reason.columns else ""
    advice = _NO_KEY_ADVICE if with_reason[CODE][0] == NO_KEY else ""
    raise SourceRefusedError(f"none of its {result.rows_in} rows is valid; {reason} ({count} rows{sample}){advice}")


@dataclass(frozen=True, kw_only=True)
class _CheckedRows:
    """Typed rows and the fault of each."""

    typed: pl.DataFrame
    faults: pl.DataFrame
    unknown: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def is_valid(self) -> pl.Series:
        return self.faults[REASON].is_null()


def _check(cells: pl.DataFrame) -> _CheckedRows:
    chunks = [_check_chunk(chunk) for chunk in cells.iter_slices(CHUNK_ROWS)] or [_check_chunk(cells)]
    typed = pl.concat([chunk.typed for chunk in chunks])
    faults = find_faults(pl.concat([chunk.row_faults for chunk in chunks]), typed)
    return _CheckedRows(typed=typed, faults=faults, unknown=chunks[0].unknown, absent=chunks[0].absent)


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Typed rows and the fault of each row on its own, without conflicts between rows."""

    typed: pl.DataFrame
    row_faults: pl.Series
    unknown: tuple[str, ...]
    absent: tuple[str, ...]


def _check_chunk(cells: pl.DataFrame) -> _Chunk:
    current = to_current_format(cells.select(trim(name) for name in cells.columns))
    _reject_missing_columns(current.cells)
    typed = current.cells.select(*(to_type(column, current.cells) for column in COLUMNS), _extra(current.unknown))
    typed = typed.with_columns(find_unreadable_cells(current.cells, typed))
    absent = tuple(name for name in NAMES if name not in current.cells.columns) + (() if current.unknown else (EXTRA,))
    faults = find_row_faults(current.cells, typed)
    return _Chunk(typed=typed, row_faults=faults, unknown=current.unknown, absent=absent)


def _to_result(cells: pl.DataFrame, checked: _CheckedRows, positions: pl.Series) -> ParseResult:
    valid = checked.is_valid
    return ParseResult(
        rows=_keep_pitcher_names(checked.typed.filter(valid)),
        rejected=_rename_reserved(cells.filter(~valid)).with_columns(checked.faults.filter(~valid)),
        rejected_positions=positions.filter(~valid),
        rejected_keys=checked.typed.filter(~valid).select(KEY),
        keyless=checked.typed.filter((checked.faults[CODE] == NO_KEY).fill_null(value=False)),
        corrected=cells.clear(),
        corrected_positions=positions.clear(),
        unknown=checked.unknown,
        absent=checked.absent,
        unreadable=summarize_unreadable(checked.typed.filter(valid)[UNREADABLE_CELLS]),
    )


def _rename_reserved(cells: pl.DataFrame) -> pl.DataFrame:
    """Rename export columns whose names the result uses itself."""
    return cells.rename({name: f"{name}{ORIGINAL_SUFFIX}" for name in (CODE, REASON, RULE) if name in cells.columns})


def _reject_missing_columns(cells: pl.DataFrame) -> None:
    missing = [name for name in REQUIRED if name not in cells.columns]
    if not missing or set(missing) == set(KEY) - {"game_pk"}:
        return  # old exports without numbers of plate appearance and pitch: their rows are rejected one by one
    shown = ", ".join(missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > len(missing[:5]) else ""
    raise SourceRefusedError(
        f"not a Statcast export: no column {shown}{more}; its first columns are {_shown_names(cells.columns)}"
    )


def _shown_names(names: Sequence[str]) -> str:
    return ", ".join(repr(name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}...") for name in names[:3])


def _extra(unknown: tuple[str, ...]) -> pl.Expr:
    if not unknown:
        return pl.lit(None, dtype=pl.String).alias(EXTRA)
    has_value = pl.any_horizontal(pl.col(name).is_not_null() for name in unknown)
    return pl.when(has_value).then(pl.struct(unknown).struct.json_encode()).otherwise(None).alias(EXTRA)


def _apply_rules(rejected: pl.DataFrame, rules: Sequence[CorrectionRule]) -> tuple[pl.DataFrame, pl.Series]:
    """Apply the rules in order; returns the corrected cells, and for each row the last matching rule or null."""
    cells, applied = rejected, pl.Series(RULE, [None] * rejected.height, dtype=pl.Int64)
    for rule in rules:
        if not {*rule.cells, *rule.replacement} <= set(cells.columns):
            continue
        matches = cells.select(_matches(rule)).to_series()
        cells = cells.with_columns(
            pl.when(matches).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
            for name, value in rule.replacement.items()
        )
        applied = pl.select(pl.when(matches).then(rule.number).otherwise(applied).cast(pl.Int64)).to_series()
    return cells, applied.alias(RULE)


def _matches(rule: CorrectionRule) -> pl.Expr:
    equal = [pl.col(name).fill_null("").str.strip_chars() == value for name, value in rule.cells.items()]
    return reduce(lambda all_equal, each: all_equal & each, equal, pl.lit(value=True))


def _keep_pitcher_names(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep `player_name` only if it names the pitchers: depending on the query, Savant puts the batter's name there.

    It names the pitchers if there is one pitcher per name, more than one batter per name, and the play descriptions do
    not begin with the name. Otherwise the column becomes null.
    """
    named = rows.filter(pl.col(_PLAYER_NAME).is_not_null())
    is_pitcher = (
        _players_per_name(named, "pitcher") <= _MAX_PITCHERS_PER_NAME
        and _players_per_name(named, "batter") >= _MIN_BATTERS_PER_NAME
        and _subject_share(named) < _MAX_SUBJECT_SHARE
    )
    return rows if is_pitcher else rows.with_columns(pl.lit(None, dtype=pl.String).alias(_PLAYER_NAME))


def _players_per_name(named: pl.DataFrame, role: str) -> float:
    names = named[_PLAYER_NAME].n_unique()
    return named.select(_PLAYER_NAME, role).n_unique() / names if names else 0.0


def _subject_share(named: pl.DataFrame) -> float:
    first_last = pl.col(_PLAYER_NAME).str.replace(r"^(.+), (.+)$", "$2 $1")
    share = named.select(pl.col("des").str.starts_with(first_last).mean()).item()
    return float(share or 0.0)
