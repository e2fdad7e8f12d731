"""Exports that spreadsheets, databases and data-frame tools saved again are read as the export that they were."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import polars as pl
import pytest

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.statcast.schema import SCHEMA
from tests.factories.statcast_rows import as_csv, sample_cells

CELLS = sample_cells(date(2024, 9, 14), days=1).with_columns(player_name=pl.lit("Peña, José"))
TWO_DAYS = sample_cells(date(2024, 9, 14), days=2)
EXPECTED = parse_cells(CELLS).rows


def saved(cells: pl.DataFrame, header: Sequence[str] | None = None, separator: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(header or cells.columns)
    writer.writerows(cells.iter_rows())
    return out.getvalue().encode()


def with_dates(cells: pl.DataFrame, write: Callable[[date], str]) -> bytes:
    days = [write(date.fromisoformat(day)) for day in cells["game_date"]]
    return saved(cells.with_columns(pl.Series("game_date", days)))


def with_row_numbers(name: str, first: int) -> bytes:
    numbers = [str(first + row) for row in range(CELLS.height)]
    return saved(CELLS.select(pl.Series("row numbers", numbers), *CELLS.columns), [name, *CELLS.columns])


def check_same(content: bytes) -> None:
    reading = parse_cells(decode_cells(content))
    assert (reading.unknown, reading.unreadable) == ((), ())
    assert reading.rows.equals(EXPECTED)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator_is_found_in_the_header(separator: str) -> None:
    check_same(saved(CELLS, separator=separator))


def test_decimal_commas_are_read_in_a_file_with_another_separator() -> None:
    real = [name for name in CELLS.columns if name in SCHEMA and SCHEMA[name].is_float()]
    commas = CELLS.with_columns(pl.col(real).str.replace(".", ",", literal=True))
    assert commas["release_speed"].str.contains(",").any()
    check_same(saved(commas, separator=";"))


def test_points_between_thousands_are_dropped_only_beside_decimal_commas() -> None:
    cells = CELLS.with_columns(release_spin_rate=pl.lit("2.300"), release_speed=pl.lit("93,1"))
    assert parse_cells(decode_cells(saved(cells, separator=";"))).rows["release_spin_rate"].unique().to_list() == [2300]
    plain = CELLS.with_columns(release_spin_rate=pl.lit("2.300"))
    reading = parse_cells(decode_cells(saved(plain, separator=";")))
    assert [(each.name, each.rows) for each in reading.unreadable] == [("release_spin_rate", CELLS.height)]


@pytest.mark.parametrize(
    "write", [str.upper, lambda name: name.replace("_", " ").title(), lambda name: name.replace("_", ".")]
)
def test_names_that_differ_in_capitals_spaces_or_points_are_known(write: Callable[[str], str]) -> None:
    check_same(saved(CELLS, [write(name) for name in CELLS.columns]))


def test_a_name_in_capitals_beside_the_plain_one_stays_apart() -> None:
    cells = CELLS.with_columns(pl.lit("9").alias("BALLS"))
    assert parse_cells(decode_cells(saved(cells))).unknown == ("BALLS",)


@pytest.mark.parametrize(
    ("name", "first"), [("Unnamed: 0", 0), ("", 100), ("Unnamed: 0.1", 1), ("X", 1), ("...1", 1), ("index", 7)]
)
def test_a_column_of_row_numbers_is_no_data(name: str, first: int) -> None:
    check_same(with_row_numbers(name, first))


def test_row_names_without_a_name_in_the_header_are_no_data() -> None:
    check_same(with_row_numbers("row names", 1).replace(b"row names,", b"", 1))


def test_a_column_with_such_a_name_and_other_contents_is_kept() -> None:
    cells = CELLS.with_columns(pl.lit("a note").alias("X"))
    assert parse_cells(decode_cells(saved(cells))).unknown == ("X",)


@pytest.mark.parametrize(
    "form",
    [
        *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%Y%m%d"),
        *("%d-%b-%y", "%d-%b-%Y", "%B %d, %Y", "%m/%d/%Y 12:00:00 AM", "%Y-%m-%dT00:00:00", "%Y-%m-%d 00:00:00.000"),
    ],
)
def test_dates_in_the_order_of_a_country_are_read_if_the_file_leaves_one_reading(form: str) -> None:
    check_same(with_dates(CELLS, lambda day: f"{day:{form}}"))


def test_dates_without_leading_zeros_are_read() -> None:
    check_same(with_dates(CELLS, lambda day: f"{day.month}/{day.day}/{day.year}"))


def test_serial_dates_of_a_spreadsheet_are_read() -> None:
    check_same(with_dates(CELLS, lambda day: str((day - date(1899, 12, 30)).days)))


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%y", "%d.%m.%Y"])
def test_dates_with_two_readings_are_refused_with_a_sample(form: str) -> None:
    early = sample_cells(date(2024, 6, 5), days=1)
    with pytest.raises(SourceRefusedError, match=r"two readings: game_date .* is 2024-0[56]-0[56] or 2024-0[56]-0[56]"):
        decode_cells(with_dates(early, lambda day: f"{day:{form}}"))


def test_one_late_day_decides_for_the_whole_file() -> None:
    cells = pl.concat(
        [sample_cells(date(2024, 6, 5), days=1), CELLS.select(sample_cells(date(2024, 6, 5), days=1).columns)]
    )
    reading = parse_cells(decode_cells(with_dates(cells, lambda day: f"{day:%d/%m/%Y}")))
    assert set(reading.rows["game_date"]) == {date(2024, 6, 5), date(2024, 9, 14)}


def test_letters_of_western_europe_are_read_in_their_encoding() -> None:
    check_same(saved(CELLS).decode().encode("latin-1"))
    check_same(saved(CELLS).decode().encode("utf-16"))


def test_the_dates_of_an_untouched_export_stay() -> None:
    assert decode_cells(as_csv(TWO_DAYS))["game_date"].equals(TWO_DAYS["game_date"])
    later = timedelta(days=1) + date(2024, 9, 14)
    assert set(TWO_DAYS["game_date"]) == {"2024-09-14", str(later)}
