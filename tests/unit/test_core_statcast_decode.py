"""Decoding of Statcast exports: containers, defects and row limits."""

import gzip
import io
import random
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


def parquet(table: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [CSV, b"\xef\xbb\xbf" + CSV, CSV.rstrip(b"\n"), CSV.replace(b"\n", b"\r\n"), gzip.compress(CSV), parquet(DAY)],
    ids=["csv", "with BOM", "no last newline", "CRLF", "gzip", "parquet"],
)
def test_an_export_is_read_in_any_container(content: bytes) -> None:
    assert decode_cells(content).select(sorted(DAY.columns)).equals(DAY.select(sorted(DAY.columns)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"<!DOCTYPE html><html><body>Just a moment...</body></html>", "it is an HTML page, not a table"),
        (b"  <html>", "it is an HTML page, not a table"),
        (b"error\nQuery timed out", "it is an error message: 'Query timed out'"),
        (gzip.compress(CSV)[:-100], "it is a broken or truncated gzip file"),
        (parquet(DAY)[:-100], "it is a broken or truncated parquet file"),
        (CSV[:-40], "it ends in the middle of a row"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "it is not UTF-8 text"),
        (b"a,b\n\0,1\n", "it is binary data, not text"),
        ("peña,1\n".encode("latin-1"), "it is not UTF-8 text"),
        (b"a,b\n1,2\n3\n4,5\n", "it has rows that are too short, by 1 cells in all"),
        (parquet(pl.DataFrame({"a": [[1, 2]]})), "it has a column that cannot be text, a"),
        (parquet(pl.DataFrame({"a": [b"\xff\xfe"]})), "it has a column that cannot be text, a"),
        (parquet(pl.DataFrame({"a": ["\0"]})), "it has binary data, not text, in its column a"),
    ],
)
def test_an_incomplete_export_is_refused_with_its_defect(content: bytes, message: str) -> None:
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


def test_a_duplicate_column_is_kept_under_another_name() -> None:
    assert decode_cells(b"pitcher,pitcher\n1,2\n").rows() == [("1", "2")]


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


def test_a_parquet_file_with_any_damage_is_read_or_refused_and_nothing_else() -> None:
    whole = parquet(pl.DataFrame({"a": range(2000), "b": [str(number) for number in range(2000)]}))
    refused = 0
    for seed in range(600):
        rng, damaged = random.Random(seed), bytearray(whole)  # noqa: S311  random damage, no secret
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
        try:
            decode_cells(bytes(damaged[: rng.randrange(4, 2 * len(damaged))]))
        except SourceRefusedError:
            refused += 1
    assert refused > 200


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
    assert decode_cells((real_data / "schema_samples" / name).read_bytes()).shape == (rows, columns)
