"""Formats of cells that spreadsheets, databases and data-frame tools write: marks of numbers, dates in any order.

A whole file decides: what it leaves ambiguous is refused, never guessed row by row.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.schema import FIRST_SEASON, LAST_SEASON, NULLS, SCHEMA

DATE: Final = "game_date"
YEAR: Final = "game_year"
ISO_DATE: Final = r"^\d{4}-\d{2}-\d{2}$"
DATE_FORMATS: Final = (
    *("%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%Y%m%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%b. %d, %Y"),
    *("%B %d, %Y", "%d %B %Y", "%b %d %Y", "%b-%d-%Y", "%A, %B %d, %Y", "%a %b %d %Y", "%a, %d %b %Y"),
    *(f"%{first}{mark}%{second}{mark}%{year}" for mark in "/.-" for year in "Yy" for first, second in ("dm", "md")),
    "%y-%m-%d",
)
_TIME: Final = (
    r"(?i)[ T]+(\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\s?[AP]M)?)(\s?(Z|[A-Z]{3,4}|[+-]\d{2}:?\d{2}))?( \([^)]*\))?$"
)
_MIDNIGHT: Final = (
    r"(?i)[ T]+(0?0:00(:00([.,]0+)?)?|12:00(:00)? ?AM)(\s?(Z|[A-Z]{3,4}|[+-]\d{2}:?\d{2}))?( \([^)]*\))?$"
)
_QUOTES: Final = r"^(?:'|=?\")|\"$"  # with which a cell is marked as text for a spreadsheet
_DAYS_SINCE: Final = (pl.date(1899, 12, 30), pl.date(1904, 1, 1), pl.date(1970, 1, 1))  # Excel, Excel on a Mac, R
_UNITS_OF_DAY: Final = tuple(86_400 * 10**power for power in (0, 3, 6, 9))  # of Unix times: s, ms, us, ns
_SPACES: Final = r"['\x{a0}\x{202f} ]"
_SPACE_GROUPED: Final = rf"^[+-]?\d{{1,3}}({_SPACES}\d{{3}})+([.,]\d+)?$"
_DECIMAL_COMMA: Final = r"^[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+$"
_GROUPED: Final = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_POINT_GROUPED: Final = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"


def plain_numbers(cells: pl.DataFrame) -> pl.DataFrame:
    """Rewrite numbers without marks between thousands and with decimal points, if the file leaves one reading."""
    numeric = [name for name in cells.columns if name in SCHEMA and SCHEMA[name].is_numeric()]
    text = pl.col(numeric).str.strip_chars()
    is_spaced = text.str.contains(_SPACE_GROUPED)
    cells = cells.with_columns(pl.when(is_spaced).then(text.str.replace_all(_SPACES, "")).otherwise(text))
    has_comma = pl.col(numeric).str.contains(",", literal=True)
    of_kind = {
        kind: all(cells.select((pl.col(numeric).str.contains(kind) | ~has_comma).all()).row(0))
        for kind in (_DECIMAL_COMMA, _GROUPED)
    }
    if of_kind[_GROUPED] and _has_decimal_points(cells, numeric):
        return cells.with_columns(pl.col(numeric).str.replace_all(",", "", literal=True))
    if not of_kind[_DECIMAL_COMMA] or _has_decimal_points(cells, numeric):
        return cells
    return cells.with_columns(
        pl.when(pl.col(name).str.contains(_POINT_GROUPED))
        .then(pl.col(name).str.replace_all(".", "", literal=True))
        .otherwise(pl.col(name))
        .str.replace(",", ".", literal=True)
        for name in numeric
    )


def _has_decimal_points(cells: pl.DataFrame, numeric: Sequence[str]) -> bool:
    pointed = pl.col(numeric).str.contains(".", literal=True) & ~pl.col(numeric).str.contains(_POINT_GROUPED)
    return any(cells.select(pointed.any()).row(0))


def plain_dates(cells: pl.DataFrame) -> pl.DataFrame:
    """Rewrite the game dates as YYYY-MM-DD if one format reads all of them, in the years that the file states.

    Raises:
        SourceRefusedError: the dates have two readings, or times of day, so that the day depends on a time zone.
    """
    text = pl.col(DATE).str.strip_chars()
    year = pl.col(YEAR).str.strip_chars().str.slice(0, 4) if YEAR in cells.columns else pl.lit(None, dtype=pl.String)
    distinct = (
        cells.select(text=text, year=year.cast(pl.Int32, strict=False))
        .filter(pl.col("text").is_not_null() & ~pl.col("text").is_in(NULLS))
        .unique(maintain_order=True)
        .with_columns(day=pl.col("text").str.replace_all(_QUOTES, "").str.replace(_MIDNIGHT, ""))
    )
    _reject_times(distinct)
    is_iso = distinct["day"].str.contains(ISO_DATE)
    days = dict(distinct.filter(is_iso).select("text", "day").iter_rows())
    others = distinct.filter(~is_iso)
    readings = _readings(others)
    if len(readings) > 1 and not days:
        raise _ambiguous(others["text"], readings)
    if len(readings) == 1:
        days |= dict(zip(others["text"], readings[0].cast(pl.String), strict=True))
    return cells.with_columns(text.replace(list(days), list(days.values())).alias(DATE))


def _reject_times(distinct: pl.DataFrame) -> None:
    timed = distinct.filter(pl.col("day").str.contains(_TIME))["text"]
    if len(timed):
        raise SourceRefusedError(
            f"its game dates have times of day, for example {timed[0]!r}: the day depends on a time zone; "
            "write them as YYYY-MM-DD"
        )


def _readings(distinct: pl.DataFrame) -> list[pl.Series]:
    """Return the different columns of dates of the formats that read most of the texts, in the years beside them."""
    number = pl.col("day").str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
    candidates = [pl.col("day").str.to_date(form, strict=False, exact=True) for form in DATE_FORMATS]
    counted = pl.when(number.is_between(1, 99_999)).then(number)
    candidates += [first + pl.duration(days=counted) for first in _DAYS_SINCE]
    candidates += [
        pl.when((number > 10**9) & (number % unit == 0)).then(pl.date(1970, 1, 1) + pl.duration(days=number // unit))
        for unit in _UNITS_OF_DAY
    ]
    found: list[pl.Series] = []
    for candidate in candidates:
        days = distinct.select(candidate.cast(pl.Date)).to_series()
        in_season = days.dt.year().is_between(FIRST_SEASON, LAST_SEASON).fill_null(value=False)
        fits = in_season & (days.dt.year() == distinct["year"]).fill_null(value=True)
        days = pl.select(pl.when(fits).then(days)).to_series()
        if fits.any() and not any(days.equals(other, check_names=False, null_equal=True) for other in found):
            found.append(days)
    most = max((days.count() for days in found), default=0)
    return [days for days in found if days.count() == most]


def _ambiguous(text: pl.Series, readings: Sequence[pl.Series]) -> SourceRefusedError:
    row = next(row for row, days in enumerate(zip(*readings, strict=True)) if len(set(days)) > 1)
    meanings = " or ".join(str(reading[row]) for reading in readings if reading[row] is not None)
    return SourceRefusedError(
        f"it has dates with two readings: {DATE} {text[row]!r} is {meanings}; write them as YYYY-MM-DD"
    )
