"""Conversion of Statcast exports in other formats to the current one: older exports, and those that a tool saved again.

Until 2016 Savant used PITCHf/x column names, movement in inches and events and descriptions in words, without the
numbers of the plate appearance and the pitch. In 2017 and early 2018 the fielders were `pos1_person_id` (the pitcher)
to `pos9_person_id`. Until 2020 two columns occurred twice in the header, missing values were "null", and a ball in play
had three descriptions. Tools that rewrite an export add a number to the second of the two columns.

Spreadsheets, databases and data-frame tools write names in capitals or with spaces, columns of row numbers, decimal
commas, and dates in the order of a country. What a whole file leaves ambiguous is refused, never guessed row by row.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import polars as pl

from ondeck_core.statcast.cell_formats import DATE, ISO_DATE, YEAR, plain_dates, plain_numbers
from ondeck_core.statcast.leagues import LEAGUE, MAJOR
from ondeck_core.statcast.legacy_codes import DESCRIPTIONS, EVENTS, PITCH_TYPES, TEAMS
from ondeck_core.statcast.schema import (
    NAMES,
    NO_PLAYER,
    NULLS,
    PLAYER_COLUMNS,
    RETIRED_COLUMNS,
)

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
_FIELDERS_OF_2017: Final = {f"pos{position}_person_id": f"fielder_{position}" for position in range(2, 10)}
_PITCHER_OF_2017: Final = "pos1_person_id"
_INCH_COLUMNS: Final = ("pfx_x", "pfx_z")
_ZERO_IS_MISSING: Final = ("hc_x", "hc_y", "hit_location", "bb_type")
_ONLY_UNTIL_2016: Final = frozenset({"pitch_id", "spin_rate", "break_angle", "break_length", "tfs", "tfs_zulu"})
_DUPLICATED: Final = ("pitcher", "fielder_2")
_DUPLICATE_COLUMNS: Final = frozenset(f"{name}{end}" for name in _DUPLICATED for end in ("_1", ".1", "_duplicated_0"))
_INCHES_PER_FOOT: Final = 12
_WORDS: Final = r"[ (),-]|^[A-Z]"  # of a sentence; codes have small letters and underscores
_CODES: Final = {"description": DESCRIPTIONS, "events": EVENTS}
_TEAM_COLUMNS: Final = ("home_team", "away_team")
_KNOWN_NAMES: Final = frozenset(
    {*NAMES, *_RENAMED, *_FIELDERS_OF_2017, _PITCHER_OF_2017, *_ONLY_UNTIL_2016, *RETIRED_COLUMNS, *_DUPLICATE_COLUMNS}
)
SEPARATORS: Final = (",", ";", "\t", "|", "^", "~", "\x01", " ")
ROW_NUMBER_NAMES: Final = (
    *("", "Unnamed: 0", "__index_level_0__", "index", "level_0", "...1", "X", "X.1", "rownames", "row.names"),
    *("rowname", "row_id", "row_number", "rownum", "row", "rn", "id", "idx", "obs", "no", "#", "V1", "_c0", "Column1"),
)
_UNNAMED: Final = re.compile(
    r"((Unnamed: )?\d+)?(_level_\d+|_duplicated_\d+|\.\d+)*|(\.\.\.\d+)+|(__index_)?level_\d+(__)?|index"
)
_ROW_NUMBER: Final = r"^\s*\d+(\.\d+)?\s*$"  # R numbers rows of the same name 7, 7.1, 7.2
_COPY: Final = re.compile(r"(.+?)(\.\.\.\d+|_duplicated_\d+|[._]\d+|[._][xy])")
_NOT_NAME: Final = re.compile(r"[^0-9a-z]+")
_MIN_NAMES: Final = 5  # of Statcast columns in a header
_YEAR_CELL: Final = re.compile(r"\s*20[0-3]\d(\.0+)?\s*")
_NUMBER_WITNESSES: Final = (
    *("release_speed", "plate_x", "sz_top", "launch_speed", "release_spin_rate"),
    *("game_pk", "game_year", "batter", "pitcher"),
)
_MARK: Final = r"\d[,'\x{a0}\x{202f} ]+\d|^\s*[+-]?,\d"


def find_header(lines: Sequence[str]) -> tuple[int, str]:
    """Return the number of the first line that names Statcast columns and its separator; 0 and a comma if none does."""
    for number, line in enumerate(lines):
        counts = {separator: _count_names(line, separator) for separator in SEPARATORS}
        separator = max(SEPARATORS, key=lambda each: counts[each])
        if counts[separator] >= min(_MIN_NAMES, len(lines[0])):
            return number, separator
    return 0, ","


def has_row_names(header: Sequence[str], row: Sequence[str]) -> bool:
    """Return whether a row with one cell more than the header begins with a row name, not ends with a separator."""
    names = [_squash(name) for name in header]
    year = names.index(_squash(YEAR)) if _squash(YEAR) in names else None
    return year is None or _YEAR_CELL.fullmatch(row[year]) is None


def to_plain_cells(cells: pl.DataFrame) -> pl.DataFrame:
    """Return text cells with Savant's spelling of names, numbers and dates.

    Raises:
        SourceRefusedError: the dates of the file have two readings.
    """
    data = _drop_row_numbers(cells)
    named = _merge_copies(data.rename(_plain_names(data.columns), strict=False))
    numbers = plain_numbers(named) if _has_number_marks(named) else named
    return plain_dates(numbers) if _has_other_dates(numbers) else numbers


def _has_number_marks(cells: pl.DataFrame) -> bool:
    """Return whether numbers have decimal commas or marks between thousands."""
    found = [name for name in _NUMBER_WITNESSES if name in cells.columns]
    return any(cells[name].str.contains(_MARK).any() for name in found)


def _has_other_dates(cells: pl.DataFrame) -> bool:
    """Return whether game dates are written otherwise than as YYYY-MM-DD."""
    return DATE in cells.columns and not cells[DATE].str.contains(ISO_DATE).all()


def _count_names(line: str, separator: str) -> int:
    cells = [cell.strip("\"' \ufeff\r") for cell in line.split(separator)]
    prefix = _common_prefix(cells)
    return sum(_squash(cell[len(prefix) :]) in _NAME_BY_LETTERS for cell in cells)


def _squash(name: str) -> str:
    return _NOT_NAME.sub("", name.lower())


_NAME_BY_LETTERS: Final = {_squash(name): name for name in sorted(_KNOWN_NAMES - _DUPLICATE_COLUMNS)}


def _common_prefix(names: Sequence[str]) -> str:
    """Return the prefix that all names share, as a table or alias of a database gives them: "t." or "statcast_"."""
    if len(names) <= _MIN_NAMES:
        return ""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    shared = "".join(letter for letter, _ in pairs)
    return shared[: max(shared.rfind("."), shared.rfind("_")) + 1]


def _plain_names(names: Sequence[str]) -> dict[str, str]:
    """Map names to known ones that differ in case, spaces or punctuation; a name that is there already stays.

    A table with few known names, such as a register of players, keeps all its names.
    """
    found: dict[str, str] = {}
    prefix = _common_prefix(names)
    if sum(_squash(name[len(prefix) :]) in _NAME_BY_LETTERS for name in names) < min(_MIN_NAMES, len(names)):
        return found
    for name in names:
        plain = _NAME_BY_LETTERS.get(_squash(name[len(prefix) :]))
        if name not in _KNOWN_NAMES and plain is not None and plain not in {*names, *found.values()}:
            found[name] = plain
    return found


def _drop_row_numbers(cells: pl.DataFrame) -> pl.DataFrame:
    names = {_squash(name) for name in ROW_NUMBER_NAMES}
    nameless = [name for name in cells.columns if _UNNAMED.fullmatch(name.strip()) and _is_numbered(cells[name])]
    named = [name for name in cells.columns if _squash(name) in names and _is_numbered(cells[name], unique=True)]
    return cells.drop({*nameless, *named})


def _is_numbered(column: pl.Series, *, unique: bool = False) -> bool:
    """Return whether a column is empty or has numbers of rows; those of appended tables repeat."""
    text = column.cast(pl.String).drop_nulls()
    numbered = text.str.contains(_ROW_NUMBER).all() or (text.str.strip_chars() == "").all()
    return numbered and (not unique or text.n_unique() == len(column))


def _merge_copies(cells: pl.DataFrame) -> pl.DataFrame:
    """Merge columns that occur twice, of which one may be empty; tools number or rename the second or both."""
    for name in cells.columns:
        match = _COPY.fullmatch(name)
        plain = _NAME_BY_LETTERS.get(_squash(match[1])) if match and name not in NAMES else None
        if plain is None:
            continue
        if plain not in cells.columns:
            cells = cells.rename({name: plain})
            continue
        first, copy = (cells[each].cast(pl.String).str.strip_chars() for each in (plain, name))
        first, copy = (pl.select(pl.when(~each.is_in(NULLS)).then(each)).to_series() for each in (first, copy))
        if (first != copy).any():
            continue  # another value: no copy
        merged = pl.select(pl.coalesce(first, copy)).to_series().alias(plain)
        cells = cells.with_columns(merged).drop(name)
    return cells


@dataclass(frozen=True, kw_only=True)
class CurrentFormat:
    """Cells with the current column names; `unknown` are columns of no known format."""

    cells: pl.DataFrame
    unknown: tuple[str, ...]


def to_current_format(cells: pl.DataFrame) -> CurrentFormat:
    """Convert text cells to the current names, units and codes; unknown columns are unchanged."""
    is_old = _COLUMN_UNTIL_2016 in cells.columns
    renamed = _rename(cells, _RENAMED | _FIELDERS_OF_2017 if is_old else _FIELDERS_OF_2017)
    converted = _to_current_units(renamed) if is_old else renamed
    obsolete = _DUPLICATE_COLUMNS | RETIRED_COLUMNS | {_PITCHER_OF_2017} | (_ONLY_UNTIL_2016 if is_old else frozenset())
    kept = converted.drop([name for name in converted.columns if name in obsolete])
    known = set(NAMES)
    return CurrentFormat(
        cells=kept.with_columns(*_to_current_codes(kept.columns)),
        unknown=tuple(name for name in kept.columns if name not in known),
    )


def _rename(cells: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    present = set(cells.columns)
    return cells.rename({old: new for old, new in names.items() if old in present and new not in present})


def _to_current_units(cells: pl.DataFrame) -> pl.DataFrame:
    return cells.with_columns(
        *(_inches_to_feet(name) for name in _INCH_COLUMNS if name in cells.columns),
        *(_null_if_zero(name) for name in _ZERO_IS_MISSING if name in cells.columns),
    )


def _to_current_codes(names: Sequence[str]) -> Iterator[pl.Expr]:
    for name in names:
        if name in PLAYER_COLUMNS:
            yield _null_if_no_player(name)
        elif name in _CODES:
            yield _words_to_code(name).replace(_CODES[name])
        elif name == "pitch_type":
            yield pl.col(name).str.to_uppercase().replace(PITCH_TYPES)
        elif name in _TEAM_COLUMNS:
            yield _to_current_team(name, names)
        elif name == "inning_topbot":
            yield pl.col(name).str.to_titlecase().replace({"Bottom": "Bot"})


def _to_current_team(name: str, names: Sequence[str]) -> pl.Expr:
    """Rename a club of the major leagues; another team may have the former code of one, as China has CHN."""
    team = pl.col(name).str.to_uppercase()
    is_complete = {*_TEAM_COLUMNS, "game_type"} <= set(names)
    return pl.when(LEAGUE == MAJOR).then(team.replace(TEAMS)).otherwise(team).alias(name) if is_complete else team


def _null_if_no_player(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_in(NO_PLAYER)).then(None).otherwise(pl.col(name)).alias(name)


def _inches_to_feet(name: str) -> pl.Expr:
    feet = pl.col(name).cast(pl.Float64, strict=False) / _INCHES_PER_FOOT
    return pl.when(feet.is_null()).then(pl.col(name)).otherwise(feet.round(4).cast(pl.String)).alias(name)


def _words_to_code(name: str) -> pl.Expr:
    code = pl.col(name).str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "_").str.strip_chars("_")
    return pl.when(pl.col(name).str.contains(_WORDS)).then(code).otherwise(pl.col(name)).alias(name)


def _null_if_zero(name: str) -> pl.Expr:
    is_zero = pl.col(name).cast(pl.Float64, strict=False) == 0
    return pl.when(is_zero).then(None).otherwise(pl.col(name)).alias(name)
