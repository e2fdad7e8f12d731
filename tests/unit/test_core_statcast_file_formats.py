"""Each format of the table is read as the export that it holds, or refused by its name; none takes unbounded memory."""

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from datetime import date

import polars as pl
import pytest

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast import file_formats
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.file_formats import FORMATS, FileFormat
from ondeck_core.statcast.parse import parse_cells
from tests.factories.statcast_rows import as_csv, sample_cells

DAY = sample_cells(date(2022, 6, 1), days=1)
CSV = as_csv(DAY)
READ = [each for each in FORMATS if each.read or each.unpack]
REFUSED = [each for each in FORMATS if each not in READ]


def named(each: FileFormat) -> str:
    return each.name


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def parquet(table: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(SourceRefusedError) as error:
        decode_cells(content)
    return str(error.value)


@pytest.mark.parametrize("each", READ, ids=named)
def test_a_format_that_is_read_gives_the_same_table(each: FileFormat) -> None:
    assert decode_cells(each.sample(CSV)).select(sorted(DAY.columns)).equals(DAY.select(sorted(DAY.columns)))


@pytest.mark.parametrize("each", READ, ids=named)
def test_a_format_that_is_read_is_refused_where_it_is_cut_off(each: FileFormat) -> None:
    whole = each.sample(CSV)
    assert refused(whole[: len(whole) // 2]).startswith("it is a broken or truncated")


@pytest.mark.parametrize("each", [each for each in READ if each.unpack], ids=named)
def test_a_format_is_read_inside_another(each: FileFormat) -> None:
    assert decode_cells(gzip.compress(each.sample(CSV))).height == DAY.height


@pytest.mark.parametrize("each", REFUSED, ids=named)
def test_any_other_format_is_refused_by_its_name_with_advice(each: FileFormat) -> None:
    sample = each.sample(CSV)
    assert next(found for found in FORMATS if found.pattern.match(sample)) is each
    for content in (sample, gzip.compress(sample), sample + CSV):
        assert refused(content).startswith(f"it is {each.name}{': ' if each.advice else ''}{each.advice}; expected")


def test_text_of_an_export_is_of_no_other_format() -> None:
    for content in (
        CSV,
        b"\xef\xbb\xbf" + CSV,
        b'"game_pk"\n',
        "peña,1\n".encode("latin-1"),
        CSV.decode().encode("utf-16"),
    ):
        assert not any(each.pattern.match(content) for each in FORMATS)


@pytest.mark.parametrize(
    "files",
    [
        {"export.csv": CSV, "__MACOSX/._export.csv": b"\0"},
        {"a/export.csv": CSV, "a/.DS_Store": b"\0"},
        {"export.csv": CSV, "README.md": b"about", "LICENSE": b"CC0"},
        {"export.csv.gz": gzip.compress(CSV), "notes.txt": b"about"},
        {"export.parquet": parquet(DAY)},
        {"inner.zip": zipped({"export.csv": CSV})},
        {"EXPORT.DAT": CSV},
    ],
    ids=["of a Mac", "hidden file", "documents", "compressed table", "parquet", "archive", "other name"],
)
def test_the_only_table_of_an_archive_is_read(files: Mapping[str, bytes]) -> None:
    for content in (zipped(files), tarred(files)):
        assert decode_cells(content).height == DAY.height


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"a.csv": CSV, "b.csv": CSV}), "it is a ZIP archive of 2 files (a.csv, b.csv): unpack it"),
        (tarred({"a.csv": CSV, "b.csv": CSV}), "it is a tar archive of 2 files (a.csv, b.csv): unpack it"),
        (zipped({".hidden": CSV}), "it is a ZIP archive of no file: unpack it"),
        (
            zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}),
            "it is an Excel workbook (.xlsx): save it as CSV",
        ),
        (zipped({"[Content_Types].xml": b"", "word/document.xml": b""}), "it is a Word document"),
        (zipped({"mimetype": b"", "content.xml": b""}), "it is an OpenDocument file: save it as CSV"),
        (zipped({"Index/Document.iwa": b""}), "it is an Apple Numbers document: export it as CSV"),
        (zipped({"arr_0.npy": b"\x93NUMPY\x01"}), "it is a NumPy array"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(CSV)))), "it is compressed more than 3 times"),
        (gzip.compress(b"\0" * (64 << 20)), "it has no line in the first MiB of its decompressed content"),
        (b'{"a":' * 200_000, "it is JSON, not a table"),
        (parquet(pl.DataFrame({"a": [b"\xff\xfe"]})), "it has a column that cannot be text, a"),
        (parquet(pl.DataFrame({"a": ["\0"]})), "it has binary data, not text, in its column a"),
    ],
)
def test_what_an_archive_or_a_table_really_is_decides(content: bytes, message: str) -> None:
    assert refused(content).startswith(message)


def test_content_beyond_the_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_formats, "MAX_BYTES", 8 << 20)
    assert "when decompressed: split it by month" in refused(gzip.compress(b"a,b\n1,2\n" * (4 << 20)))
    monkeypatch.setattr(file_formats, "MAX_ROWS", 10)
    for each in READ:
        if each.read:
            assert refused(each.sample(CSV)).startswith(f"it has {DAY.height} rows, more than 10: split it by season")


def test_columns_of_lists_and_structures_are_kept_as_json() -> None:
    table = DAY.with_columns(path=pl.lit([1, 2]), spin=pl.struct(axis=pl.lit(180)), flag=pl.lit(value=True))
    reading = parse_cells(decode_cells(parquet(table)))
    assert (reading.rows.height, set(reading.unknown)) == (DAY.height, {"path", "spin", "flag"})


def test_ids_of_a_data_frame_are_read_from_any_number_type() -> None:
    expected = parse_cells(decode_cells(CSV)).rows
    for kind in (pl.Float64, pl.Int64, pl.Decimal(12, 2)):
        table = DAY.with_columns(pl.col("game_pk", "batter", "pitcher").cast(pl.Int64).cast(kind))
        assert parse_cells(decode_cells(parquet(table))).rows.equals(expected)


def test_a_table_with_any_damage_is_read_or_refused_and_nothing_else() -> None:
    whole = parquet(pl.DataFrame({"a": range(2000), "b": [str(number) for number in range(2000)]}))
    refusals = 0
    for seed in range(600):
        rng, damaged = random.Random(seed), bytearray(whole)  # noqa: S311  random damage, no secret
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
        try:
            decode_cells(bytes(damaged[: rng.randrange(4, 2 * len(damaged))]))
        except SourceRefusedError:
            refusals += 1
    assert refusals > 200
