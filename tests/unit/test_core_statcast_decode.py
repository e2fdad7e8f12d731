"""Decoding of Statcast exports: text of any tool, defects and row limits."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import ROW_CAPS, decode_cells, reject_capped
from tests.factories.statcast_rows import as_csv, sample_cells

DAY = sample_cells(date(2022, 6, 1), days=1)
CSV = as_csv(DAY)


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        b"\xef\xbb\xbf" + CSV,
        CSV.rstrip(b"\n"),
        CSV.replace(b"\n", b"\r\n"),
        CSV.replace(b"\n", b"\r"),
        CSV.replace(b"\n", b"\r\r\n"),
        CSV.replace(b"\n", b"\n\n"),
        b"\n\n" + CSV,
        CSV + b"," * CSV.split(b"\n")[0].count(b",") + b"\n",
        CSV + b"\x1a",
        b"# saved in June\n" + CSV,
        b"Statcast Search,,,\n,,,\n" + CSV,
        b"sep=,\r\n" + CSV,
        CSV + CSV.split(b"\n")[0] + b"\n",
        CSV + b"\xef\xbb\xbf" + CSV.split(b"\n")[0] + b"\n",
        CSV.replace(b"\n", b",\n"),
        b"\n".join([CSV.split(b"\n")[0], *(row + b"," for row in CSV.split(b"\n")[1:-1]), b""]),
        CSV.decode().encode("utf-16"),
        b"\xfe\xff" + CSV.decode().encode("utf-16-be"),
        CSV.decode().encode("utf-16-le"),
        CSV.decode().encode("utf-16-be"),
        CSV.decode().encode("latin-1"),
    ],
    ids=[
        *("csv", "with BOM", "no last newline", "CRLF", "CR", "CRCRLF of Windows", "blank lines", "blank first lines"),
        *("a row of commas", "end-of-file mark", "comment", "title", "separator line", "header again"),
        *("header again with BOM", "commas at the ends", "commas at the ends of rows only"),
        *("UTF-16", "UTF-16 big endian", "UTF-16 without BOM", "UTF-16 big endian without BOM", "Latin-1"),
    ],
)
def test_text_of_any_tool_is_the_same_table(content: bytes) -> None:
    assert decode_cells(content).select(sorted(DAY.columns)).equals(DAY.select(sorted(DAY.columns)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"error\nQuery timed out", "it is an error message: 'Query timed out'"),
        (CSV[:-40], "it ends in the middle of a row"),
        (b"\xfeabc\r\n\0\0\0", "it is not UTF-8 text"),
        (b"a,b\n\0,1\n", "it is binary data or damaged text (NUL at byte 4)"),
        (CSV + b"\0" * 512, f"it is binary data or damaged text (NUL at byte {len(CSV)})"),
        ("peña,1\n".encode("mac-roman"), "it is not UTF-8 text"),
        ("peña,é1\n".encode("latin-1"), "it is not UTF-8 text"),
        ("peña".encode() + "peña,1\n".encode("latin-1"), "it is not UTF-8 text"),
        (CSV.decode().encode("utf-16")[:-1], "it is broken or truncated UTF-16 text"),
        (b"a,b\n1,2\n3\n4,5\n", "it has rows that are too short, by 1 cells in all"),
        (CSV + as_csv(DAY.select(DAY.columns[:90])), f"it has a second header in line {DAY.height + 2}"),
        (as_csv(DAY.select(DAY.columns[:90])) + CSV, f"it has a second header in line {DAY.height + 2}"),
        (b"," * 100_000, "it has a first line of more than 64 KiB: no header of a table"),
    ],
)
def test_incomplete_text_is_refused_with_its_defect(content: bytes, message: str) -> None:
    with pytest.raises(SourceRefusedError) as refused:
        decode_cells(content)
    assert str(refused.value).startswith(message)
    assert str(refused.value).endswith("expected a Statcast export as CSV, gzipped CSV or parquet")


@pytest.mark.parametrize("rows", ROW_CAPS)
def test_a_response_of_the_row_limit_is_refused_as_truncated(rows: int) -> None:
    with pytest.raises(SourceRefusedError, match=f"has {rows} rows, the count at which Savant truncates a response"):
        reject_capped(pl.DataFrame({"a": pl.repeat("1", rows, eager=True)}))
    reject_capped(pl.DataFrame({"a": pl.repeat("1", rows - 1, eager=True)}))


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n", b"\r\n\r\n"])
def test_trailing_blank_lines_are_no_rows(end: bytes) -> None:
    assert decode_cells(b'a,b\n1,"x\ny"\n2,"x, ""y"""' + end).rows() == [("1", "x\ny"), ("2", 'x, "y"')]


@pytest.mark.parametrize(
    ("header", "rows", "columns"),
    [
        ("pitcher,pitcher", "1,1", {"pitcher": ["1"]}),
        ("fielder_2,fielder_2", ",2", {"fielder_2": ["2"]}),
        (
            "pos2_person_id,pos1_person_id,pos2_person_id",
            "null,1,2",
            {"pos2_person_id": ["2"], "pos1_person_id": ["1"]},
        ),
        ("pitcher...8,pitcher...60", "1,1", {"pitcher": ["1"]}),
        ("fielder_2...42,fielder_2...61", "NA,2", {"fielder_2": ["2"]}),
        ("pitcher.x,pitcher.y", "1,1", {"pitcher": ["1"]}),
        ("fielder_2,fielder_2.1", "2,", {"fielder_2": ["2"]}),
        ("pitcher,pitcher", "1,2", {"pitcher": ["1"], "pitcher_duplicated_0": ["2"]}),
    ],
)
def test_a_column_that_occurs_twice_is_one_unless_its_values_differ(
    header: str, rows: str, columns: dict[str, list[str]]
) -> None:
    assert decode_cells(f"{header}\n{rows}\n".encode()).to_dict(as_series=False) == columns


@settings(max_examples=200, deadline=None)
@example(b"\r\x01")
@example(b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff")
@given(st.one_of(st.binary(max_size=300), st.integers(0, len(CSV)).map(lambda end: CSV[:end])))
def test_any_bytes_are_read_or_refused_and_nothing_else(content: bytes) -> None:
    try:
        rows = decode_cells(content).height
    except SourceRefusedError:
        return
    assert rows <= content.count(b"\n") + content.count(b"\r") + 1


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("savant_2019_07_darvish.csv.gz", 438, 89),
        ("savant_2020_09_03.csv.gz", 2507, 89),
        ("savant_2023_06_11_written_by_r.csv.gz", 4418, 92),
    ],
)
def test_older_exports_are_read_with_every_column(real_data: Path, name: str, rows: int, columns: int) -> None:
    assert decode_cells((real_data / "schema_samples" / name).read_bytes()).shape == (
        rows,
        columns - 2,
    )  # two occur twice
