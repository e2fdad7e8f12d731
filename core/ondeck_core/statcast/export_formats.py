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
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.legacy_codes import DESCRIPTIONS, EVENTS, PITCH_TYPES, TEAMS
from ondeck_core.statcast.schema import (
    FIRST_SEASON,
    LAST_SEASON,
    NAMES,
    NO_PLAYER,
    NULLS,
    PLAYER_COLUMNS,
    RETIRED_COLUMNS,
    SCHEMA,
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
_CAPITAL_CODES: Final = {"pitch_type": PITCH_TYPES, "home_team": TEAMS, "away_team": TEAMS}
_KNOWN_NAMES: Final = frozenset(
    {*NAMES, *_RENAMED, *_FIELDERS_OF_2017, _PITCHER_OF_2017, *_ONLY_UNTIL_2016, *RETIRED_COLUMNS, *_DUPLICATE_COLUMNS}
)
SEPARATORS: Final = (",", ";", "\t", "|")
_ROW_NUMBER_NAME: Final = re.compile(
    r"|Unnamed: \d+(\.\d+)?|\.\.\.\d+|X(\d+)?|index|level_0|rownames|row\.names|column_\d+"
)
_NOT_NAME: Final = re.compile(r"[^0-9a-z]+")
_DATE: Final = "game_date"
_YEAR: Final = "game_year"
_ISO_DATE: Final = r"^\d{4}-\d{2}-\d{2}"
_DATE_FORMATS: Final = (
    *("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y"),
    *(f"%{first}{mark}%{second}{mark}%{year}" for mark in "/.-" for year in "Yy" for first, second in ("dm", "md")),
)
_SERIAL_DATE: Final = r"^\d{5}(\.0+)?$"  # days since 1899-12-30, the form in which spreadsheets keep dates
_SERIAL_EPOCH: Final = pl.date(1899, 12, 30)


def find_separator(header: str) -> str:
    """Return the separator with which most cells of a header are names of Statcast columns; a comma if none is."""
    counts = {
        separator: sum(_plain_name(cell.strip('" ')) in _KNOWN_NAMES for cell in header.split(separator))
        for separator in SEPARATORS
    }
    return max(SEPARATORS, key=lambda separator: counts[separator])


def to_plain_cells(cells: pl.DataFrame, separator: str = ",") -> pl.DataFrame:
    """Return text cells with Savant's spelling of names, numbers and dates.

    Raises:
        SourceRefusedError: the dates of the file have two readings.
    """
    named = _drop_row_numbers(cells).rename(_plain_names(cells.columns), strict=False)
    return _plain_dates(named if separator == "," else _decimal_points(named))


def _plain_name(name: str) -> str:
    return _NOT_NAME.sub("_", name.strip().lower()).strip("_")


def _plain_names(names: Sequence[str]) -> dict[str, str]:
    """Map names to known ones that differ in case, spaces or punctuation; a name that is there already stays."""
    found: dict[str, str] = {}
    for name in names:
        plain = _plain_name(name)
        if name not in _KNOWN_NAMES and plain in _KNOWN_NAMES and plain not in {*names, *found.values()}:
            found[name] = plain
    return found


def _drop_row_numbers(cells: pl.DataFrame) -> pl.DataFrame:
    named = [name for name in cells.columns if _ROW_NUMBER_NAME.fullmatch(name)]
    return cells.drop([name for name in named if _is_numbered(cells[name])])


def _is_numbered(column: pl.Series) -> bool:
    numbers = column.cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)
    return numbers.null_count() == 0 and numbers.n_unique() == len(numbers)


def _decimal_points(cells: pl.DataFrame) -> pl.DataFrame:
    """Turn decimal commas into points, and drop points between thousands in a file that has decimal commas."""
    numeric = [name for name in cells.columns if name in SCHEMA and SCHEMA[name].is_numeric()]
    has_comma = [name for name in numeric if cells[name].str.contains(r"^\s*[+-]?\d*,\d+\s*$").any()]
    if not has_comma:
        return cells
    grouped = r"^(\s*[+-]?\d{1,3}(?:\.\d{3})+)(,\d+)?\s*$"
    return cells.with_columns(
        pl.when(pl.col(name).str.contains(grouped))
        .then(pl.col(name).str.replace_all(".", "", literal=True))
        .otherwise(pl.col(name))
        .str.replace(",", ".", literal=True)
        for name in numeric
    )


def _plain_dates(cells: pl.DataFrame) -> pl.DataFrame:
    """Rewrite the game dates as YYYY-MM-DD if one format reads all of them, in the years that the file states."""
    if _DATE not in cells.columns:
        return cells
    text = pl.col(_DATE).str.strip_chars()
    year = pl.col(_YEAR).str.strip_chars().str.slice(0, 4) if _YEAR in cells.columns else pl.lit(None, dtype=pl.String)
    written = cells.select(text.alias("text"), year.cast(pl.Int32, strict=False).alias("year"))
    distinct = written.filter(pl.col("text").is_not_null() & ~pl.col("text").is_in(NULLS)).unique(maintain_order=True)
    if distinct.is_empty() or distinct["text"].str.contains(_ISO_DATE).any():
        return cells
    readings = _readings(distinct)
    if not readings:
        return cells
    if len(readings) > 1:
        raise _ambiguous(distinct["text"], readings)
    days = dict(zip(distinct["text"], readings[0].cast(pl.String), strict=True))
    return cells.with_columns(text.replace(days).alias(_DATE))


def _readings(distinct: pl.DataFrame) -> list[pl.Series]:
    """Return the different columns of dates that a format reads completely, in the years beside them."""
    day = pl.col("text").str.replace(r"[ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?$", "")
    serial = _SERIAL_EPOCH + pl.duration(days=pl.col("text").str.replace(r"\.0+$", "").cast(pl.Int32, strict=False))
    candidates = [day.str.to_date(form, strict=False, exact=True) for form in _DATE_FORMATS]
    candidates.append(pl.when(pl.col("text").str.contains(_SERIAL_DATE)).then(serial))
    found: list[pl.Series] = []
    for candidate in candidates:
        days = distinct.select(candidate.cast(pl.Date)).to_series()
        in_season = days.dt.year().is_between(FIRST_SEASON, LAST_SEASON).fill_null(value=False)
        fits = in_season & (days.dt.year() == distinct["year"]).fill_null(value=True)
        if fits.all() and not any(days.equals(other, check_names=False) for other in found):
            found.append(days)
    return found


def _ambiguous(text: pl.Series, readings: Sequence[pl.Series]) -> SourceRefusedError:
    row = next(row for row, days in enumerate(zip(*readings, strict=True)) if len(set(days)) > 1)
    meanings = " or ".join(str(reading[row]) for reading in readings)
    return SourceRefusedError(
        f"it has dates with two readings: {_DATE} {text[row]!r} is {meanings}; write them as YYYY-MM-DD"
    )


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
        elif name in _CAPITAL_CODES:
            yield pl.col(name).str.to_uppercase().replace(_CAPITAL_CODES[name])
        elif name == "inning_topbot":
            yield pl.col(name).str.to_titlecase()


def _null_if_no_player(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_in(NO_PLAYER)).then(None).otherwise(pl.col(name)).alias(name)


def _inches_to_feet(name: str) -> pl.Expr:
    feet = pl.col(name).cast(pl.Float64, strict=False) / _INCHES_PER_FOOT
    return pl.when(feet.is_null()).then(pl.col(name)).otherwise(feet.round(4).cast(pl.String)).alias(name)


def _words_to_code(name: str) -> pl.Expr:
    code = pl.col(name).str.to_lowercase().str.replace_all(r"[^a-z]+", "_").str.strip_chars("_")
    return pl.when(pl.col(name).str.contains(_WORDS)).then(code).otherwise(pl.col(name)).alias(name)


def _null_if_zero(name: str) -> pl.Expr:
    is_zero = pl.col(name).cast(pl.Float64, strict=False) == 0
    return pl.when(is_zero).then(None).otherwise(pl.col(name)).alias(name)
