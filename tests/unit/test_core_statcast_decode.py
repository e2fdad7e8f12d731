"""Decoding of Statcast exports: containers, defects and row limits."""

import bz2
import gzip
import io
import lzma
import pickle
import random
import tarfile
import zipfile
from collections.abc import Mapping
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


def arrow(table: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    table.write_ipc(out)
    return out.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("export.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        b"\xef\xbb\xbf" + CSV,
        CSV.rstrip(b"\n"),
        CSV.replace(b"\n", b"\r\n"),
        CSV.replace(b"\n", b"\r"),
        gzip.compress(CSV),
        gzip.compress(gzip.compress(CSV)),
        bz2.compress(CSV),
        lzma.compress(CSV),
        zipped({"export.csv": CSV}),
        zipped({"export.csv": CSV, "__MACOSX/._export.csv": b"\0"}),
        parquet(DAY),
        arrow(DAY),
        CSV.decode().encode("utf-16"),
        b"\xfe\xff" + CSV.decode().encode("utf-16-be"),
        CSV.decode().encode("latin-1"),
        b"sep=,\r\n" + CSV,
    ],
    ids=[
        *(
            "csv",
            "with BOM",
            "no last newline",
            "CRLF",
            "CR",
            "gzip",
            "gzip twice",
            "bzip2",
            "xz",
            "zip",
            "zip of a Mac",
        ),
        *("parquet", "arrow", "UTF-16", "UTF-16 big endian", "Latin-1", "separator line"),
    ],
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
        ("peña,1\n".encode("mac-roman"), "it is not UTF-8 text"),
        ("peña,é1\n".encode("latin-1"), "it is not UTF-8 text"),
        ("peña".encode() + "peña,1\n".encode("latin-1"), "it is not UTF-8 text"),
        (zipped({"a.csv": CSV, "b.csv": CSV}), "it is a ZIP archive of 2 files: unpack it and name the files"),
        (
            zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}),
            "it is an Excel workbook (.xlsx): save it as CSV",
        ),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}), "it is an OpenDocument file"),
        (zipped({"a.csv": CSV})[:-30], "it is a broken or truncated ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is an Excel workbook (.xls): save it as CSV"),
        (tarred(CSV), "it is a tar archive: unpack it and name the files"),
        (gzip.compress(tarred(CSV)), "it is a tar archive: unpack it and name the files"),
        (DAY.write_ndjson().encode(), "it is JSON, not a table"),
        (DAY.write_json().encode(), "it is JSON, not a table"),
        (b"SQLite format 3\0", "it is an SQLite database"),
        (pickle.dumps([1]), "it is a Python pickle, which is never opened"),
        (b"\x28\xb5\x2f\xfd\0", "it is compressed with Zstandard"),
        (CSV.decode().encode("utf-32"), "it is UTF-32 text: save it as UTF-8"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(CSV)))), "it is compressed more than 3 times"),
        (bz2.compress(CSV)[:-40], "it is a broken or truncated bzip2 file"),
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
