"""Exports that spreadsheets, databases and data-frame tools saved again are read as the export that they were."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import polars as pl
import pytest

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.cell_formats import DATE_FORMATS
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.export_formats import ROW_NUMBER_NAMES, SEPARATORS
from ondeck_core.statcast.parse import parse_cells, reject_unusable
from ondeck_core.statcast.schema import SCHEMA
from tests.factories.statcast_rows import as_csv, sample_cells

CELLS = sample_cells(date(2024, 9, 14), days=1).with_columns(player_name=pl.lit("Peña, José"))
TWO_DAYS = sample_cells(date(2024, 9, 14), days=2)
EXPECTED = parse_cells(CELLS).rows
REAL = [name for name in CELLS.columns if name in SCHEMA and SCHEMA[name].is_float()]


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


@pytest.mark.parametrize("separator", SEPARATORS)
def test_any_usual_separator_is_found_in_the_header(separator: str) -> None:
    check_same(saved(CELLS, separator=separator))


def with_commas(cells: pl.DataFrame) -> pl.DataFrame:
    return cells.with_columns(pl.col(REAL).str.replace(".", ",", literal=True))


def grouped(cells: pl.DataFrame, mark: str) -> pl.DataFrame:
    names = ("release_spin_rate", "game_pk", "batter", "game_year")
    numbers = [[f"{int(text):,}".replace(",", mark) if text else text for text in cells[name]] for name in names]
    return cells.with_columns(pl.Series(name, texts) for name, texts in zip(names, numbers, strict=True))


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_decimal_commas_are_read_with_any_separator(separator: str) -> None:
    assert with_commas(CELLS)["release_speed"].str.contains(",").any()
    check_same(saved(with_commas(CELLS), separator=separator))


@pytest.mark.parametrize("mark", [".", " ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "'"])
def test_marks_between_thousands_are_dropped_beside_decimal_commas(mark: str) -> None:
    check_same(saved(grouped(with_commas(CELLS), mark), separator=";"))


@pytest.mark.parametrize("mark", [",", " ", "'"])
def test_marks_between_thousands_are_dropped_beside_decimal_points(mark: str) -> None:
    check_same(saved(grouped(CELLS, mark)))


@pytest.mark.parametrize(
    ("name", "text"), [("release_spin_rate", "2.300"), ("release_spin_rate", "2,3"), ("hit_distance_sc", "1,20")]
)
def test_a_number_that_the_file_leaves_ambiguous_is_left_out_and_counted(name: str, text: str) -> None:
    reading = parse_cells(decode_cells(saved(CELLS.with_columns(pl.lit(text).alias(name)))))
    assert [(each.name, each.rows) for each in reading.unreadable] == [(name, CELLS.height)]


@pytest.mark.parametrize(
    "write",
    [
        *(str.upper, lambda name: name.replace("_", " ").title(), lambda name: name.replace("_", ".")),
        *(lambda name: name.replace("_", "-"), lambda name: name.replace("_", "").title(), lambda name: f"[{name}]"),
        *(lambda name: f"t.{name}", lambda name: f"statcast.{name.upper()}", lambda name: f"statcast_{name}"),
    ],
)
def test_names_that_differ_in_capitals_punctuation_or_a_prefix_are_known(write: Callable[[str], str]) -> None:
    check_same(saved(CELLS, [write(name) for name in CELLS.columns]))


def test_a_name_in_capitals_beside_the_plain_one_stays_apart() -> None:
    cells = CELLS.with_columns(pl.lit("9").alias("BALLS"))
    assert parse_cells(decode_cells(saved(cells))).unknown == ("BALLS",)


@pytest.mark.parametrize("name", ROW_NUMBER_NAMES)
def test_a_column_of_row_numbers_is_no_data(name: str) -> None:
    check_same(with_row_numbers(name, first=1))
    check_same(with_row_numbers(name.upper(), first=100))


@pytest.mark.parametrize("numbers", [["0", "1"], ["0.0", "1.0"], ["7", "7.1"], ["", ""]])
def test_row_numbers_of_appended_tables_repeat(numbers: list[str]) -> None:
    repeated = pl.Series("row numbers", [numbers[row % 2] for row in range(CELLS.height)])
    for name in ("Unnamed: 0", "", "index"):
        check_same(saved(CELLS.select(repeated, *CELLS.columns), [name, *CELLS.columns]))


def test_row_names_without_a_name_in_the_header_are_no_data() -> None:
    check_same(with_row_numbers("row names", 1).replace(b"row names,", b"", 1))


def test_a_column_with_such_a_name_and_other_contents_is_kept() -> None:
    cells = CELLS.with_columns(pl.lit("a note").alias("X"))
    assert parse_cells(decode_cells(saved(cells))).unknown == ("X",)


@pytest.mark.parametrize("form", DATE_FORMATS)
def test_dates_in_the_order_of_a_country_are_read_if_the_file_leaves_one_reading(form: str) -> None:
    check_same(with_dates(CELLS, lambda day: f"{day:{form}}"))


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%m/%d/%y"])
@pytest.mark.parametrize(
    "end", [" 00:00:00", " 0:00", "T00:00:00.000Z", " 12:00:00 AM", " 00:00:00-04:00", " 00:00:00 GMT"]
)
def test_midnight_beside_a_date_says_nothing(form: str, end: str) -> None:
    check_same(with_dates(CELLS, lambda day: f"{day:{form}}{end}"))


@pytest.mark.parametrize("form", ["'%Y-%m-%d", '="%Y-%m-%d"', "%d-%b-%Y ", "%Y-%m-%dT00:00:00.000000000"])
def test_dates_that_a_tool_marked_as_text_are_read(form: str) -> None:
    check_same(with_dates(CELLS, lambda day: f"{day:{form}}"))


@pytest.mark.parametrize(
    "end",
    ["T22:00:00.000Z", " 20:00:00-04:00", "T19:05:00", " 7:05 PM", " 12:00:00", " 20:00:00 (Eastern Time)"],
)
def test_times_of_day_make_the_day_ambiguous_and_are_refused(end: str) -> None:
    with pytest.raises(SourceRefusedError, match="its game dates have times of day, for example '2024-09-14"):
        decode_cells(with_dates(CELLS, lambda day: f"{day}{end}"))


def test_dates_without_leading_zeros_are_read() -> None:
    check_same(with_dates(CELLS, lambda day: f"{day.month}/{day.day}/{day.year}"))


@pytest.mark.parametrize("first", [date(1899, 12, 30), date(1904, 1, 1), date(1970, 1, 1)])
@pytest.mark.parametrize("end", ["", ".0"])
def test_days_since_a_date_of_a_spreadsheet_or_of_r_are_read(first: date, end: str) -> None:
    check_same(with_dates(CELLS, lambda day: f"{(day - first).days}{end}"))


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_unix_times_of_midnight_are_read_and_others_are_not(unit: int) -> None:
    seconds = {"day": 86_400, "noon": 43_200}
    check_same(with_dates(CELLS, lambda day: str((day - date(1970, 1, 1)).days * seconds["day"] * unit)))
    noon = with_dates(CELLS, lambda day: str(((day - date(1970, 1, 1)).days * seconds["day"] + seconds["noon"]) * unit))
    assert set(parse_cells(decode_cells(noon)).rejected["reason"]) == {"game_date: not of type date"}


def test_one_date_that_cannot_be_read_rejects_its_row_only() -> None:
    days = ["9/14/2024"] * (CELLS.height - 1) + ["Ryan, Nolan"]
    reading = parse_cells(decode_cells(saved(CELLS.with_columns(pl.Series("game_date", days)))))
    assert (reading.rows.height, reading.rejected.height) == (CELLS.height - 1, 1)


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


@pytest.mark.parametrize("write", ["{:.2e}", "{:.2E}", "{:.3g}"])
def test_ids_that_an_exponent_has_rounded_are_refused_with_a_sample(write: str) -> None:
    rounded = CELLS.with_columns(pl.Series("game_pk", [write.format(745_801.0)] * CELLS.height))
    with pytest.raises(SourceRefusedError, match=r"game_pk: not of type integer \(\d+ rows, for example '7\.4"):
        reject_unusable(parse_cells(decode_cells(saved(rounded))))


@pytest.mark.parametrize(
    "text", ["The query timed out. Please try again.", "No Results", "FF,2024-09-14,93.1,-1.2\nSL,2024-09-14,84.1,-1.0"]
)
def test_text_without_a_header_is_refused_with_its_beginning(text: str) -> None:
    with pytest.raises(SourceRefusedError, match=f"no column game_pk.*; its first columns are '{text[:2]}"):
        parse_cells(decode_cells(text.encode()))
