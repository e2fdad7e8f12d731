"""Formats of files, recognized by their first bytes: those that are read, and those that are refused by their name.

One table, `FORMATS`: a further format is one more entry, with its sample; the tests read or refuse the sample of each.
A file that is none of them is text. Source of the signatures: the specification of each format.
"""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

import polars as pl

from ondeck_core.errors import SourceRefusedError

MAX_BYTES: Final = 2 << 30  # a season of pitches has 0.5 GB as CSV
MAX_ROWS: Final = 20_000_000  # all pitches since 2008 are 13 million
DATA_SUFFIXES: Final = (
    *(".csv", ".tsv", ".parquet", ".feather", ".arrow", ".ipc"),
    *(".gz", ".bz2", ".xz", ".lzma", ".zip", ".tar", ".tgz"),
)
_CHUNK: Final = 1 << 20
_TABLE: Final = "write it as CSV or parquet"


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A format of files whose first bytes match `pattern`.

    `unpack` returns the file inside, `read` the table inside. A format with neither is refused by `name` with `advice`.
    `sample` makes a file of the format of a CSV export, for the tests; of a refused format its first bytes suffice.
    """

    name: str
    pattern: re.Pattern[bytes]
    sample: Callable[[bytes], bytes]
    unpack: Callable[[bytes], bytes] | None = None
    read: Callable[[bytes], pl.DataFrame] | None = None
    advice: str = ""


def refusal(problem: str) -> SourceRefusedError:
    """Make the error of content that is no export: "it ..."."""
    return SourceRefusedError(f"it {problem}; expected a Statcast export as CSV, gzipped CSV or parquet")


def first_line(error: Exception) -> str:
    """Return the first line of an error message; the name of its class if there is none."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _read_limited(file: IO[bytes] | io.BufferedIOBase) -> bytes:
    """Read a decompressed file; refuse one without a line in its first MiB unless it is of a known format."""
    found = bytearray(file.read(_CHUNK))
    if len(found) == _CHUNK and b"\n" not in found and not any(each.pattern.match(found) for each in FORMATS):
        raise refusal("has no line in the first MiB of its decompressed content")
    while chunk := file.read(_CHUNK):
        found += chunk
        if len(found) > MAX_BYTES:
            raise refusal(f"has more than {MAX_BYTES >> 30} GiB when decompressed: split it by month")
    return bytes(found)


def _decompress(name: str, open_file: Callable[[io.BytesIO], io.BufferedIOBase]) -> Callable[[bytes], bytes]:
    def unpack(content: bytes) -> bytes:
        try:
            with open_file(io.BytesIO(content)) as file:
                return _read_limited(file)
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise refusal(f"is a broken or truncated {name} file ({error})") from error

    return unpack


def _open_gzip(file: io.BytesIO) -> io.BufferedIOBase:
    return gzip.GzipFile(fileobj=file)


def _unzip(content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [each.filename for each in archive.infolist() if not each.is_dir()]
            for mark, problem in _ZIPPED_DOCUMENTS.items():
                if any(name.startswith(mark) for name in names):
                    raise refusal(problem)
            with archive.open(_only_export(names, "ZIP")) as file:
                return _read_limited(file)
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error, NotImplementedError) as error:
        raise refusal(f"is a broken or truncated ZIP archive ({error})") from error
    except RuntimeError as error:
        raise refusal("is a ZIP archive with a password: unpack it") from error


def _untar(content: bytes) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            name = _only_export([each.name for each in archive.getmembers() if each.isfile()], "tar")
            file = archive.extractfile(name)
            return _read_limited(file) if file else b""
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise refusal(f"is a broken or truncated tar archive ({error})") from error


def _only_export(names: list[str], kind: str) -> str:
    """Return the only file of an archive, or the only one with the name of a table beside documents."""
    files = [name for name in names if not PurePosixPath(name).name.startswith((".", "Thumbs.db", "desktop.ini"))]
    files = [name for name in files if not name.startswith("__MACOSX/")]
    tables = [name for name in files if name.lower().endswith(DATA_SUFFIXES)]
    chosen = files if len(files) == 1 else tables
    if len(chosen) != 1:
        shown = "no file" if not files else f"{len(files)} files ({', '.join(sorted(files)[:3])})"
        raise refusal(f"is a {kind} archive of {shown}: unpack it and name the files")
    return chosen[0]


_ZIPPED_DOCUMENTS: Final = {
    "xl/": "is an Excel workbook (.xlsx): save it as CSV",
    "word/": "is a Word document (.docx): export the table as CSV",
    "mimetype": "is an OpenDocument file: save it as CSV",
    "Index/": "is an Apple Numbers document: export it as CSV",
}


def _read_parquet(content: bytes) -> pl.DataFrame:
    return _read_columns(content, "parquet", pl.scan_parquet)


def _read_arrow(content: bytes) -> pl.DataFrame:
    return _read_columns(content, "Arrow", pl.scan_ipc)


def _read_arrow_stream(content: bytes) -> pl.DataFrame:
    return _read_columns(content, "Arrow", lambda file: pl.read_ipc_stream(file).lazy())


def _read_columns(content: bytes, name: str, scan: Callable[[io.BytesIO], pl.LazyFrame]) -> pl.DataFrame:
    try:
        rows = scan(io.BytesIO(content)).select(pl.len()).collect().item()
        if rows > MAX_ROWS:
            raise refusal(f"has {rows} rows, more than {MAX_ROWS}: split it by season")
        table = scan(io.BytesIO(content)).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise refusal(f"is a broken or truncated {name} file ({first_line(error)})") from error
    return pl.DataFrame([_to_text(table.drop_in_place(column)) for column in table.columns])


def _to_text(column: pl.Series) -> pl.Series:
    try:
        nested = column.dtype.is_nested()
        text = column.to_frame().select(pl.struct(column.name).struct.json_encode()).to_series() if nested else column
        text = text.cast(pl.String).alias(column.name)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise refusal(f"has a column that cannot be text, {column.name} ({first_line(error)})") from error
    if not column.dtype.is_numeric() and text.str.contains("\0", literal=True).any():
        raise refusal(f"has binary data, not text, in its column {column.name}")
    return text


def _zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.csv", content)
    return out.getvalue()


def _tar(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("export.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _columnar(write: Callable[[pl.DataFrame, io.BytesIO], object]) -> Callable[[bytes], bytes]:
    def sample(content: bytes) -> bytes:
        out = io.BytesIO()
        write(pl.read_csv(content, infer_schema=False), out)
        return out.getvalue()

    return sample


def _refused(name: str, advice: str, pattern: bytes, sample: bytes) -> FileFormat:
    return FileFormat(name=name, advice=advice, pattern=re.compile(pattern, re.DOTALL), sample=lambda _: sample)


_READ: Final = (
    FileFormat(
        name="gzip", pattern=re.compile(rb"\x1f\x8b"), unpack=_decompress("gzip", _open_gzip), sample=gzip.compress
    ),
    FileFormat(
        name="bzip2", pattern=re.compile(rb"BZh"), unpack=_decompress("bzip2", bz2.BZ2File), sample=bz2.compress
    ),
    FileFormat(
        name="xz", pattern=re.compile(rb"\xfd7zXZ\0"), unpack=_decompress("xz", lzma.LZMAFile), sample=lzma.compress
    ),
    FileFormat(
        name="LZMA",
        pattern=re.compile(rb"]\0\0..\xff{8}|]\0\0.{10}\0", re.DOTALL),
        unpack=_decompress("LZMA", lzma.LZMAFile),
        sample=lambda content: lzma.compress(content, lzma.FORMAT_ALONE),
    ),
    FileFormat(name="ZIP", pattern=re.compile(rb"PK\x03\x04"), unpack=_unzip, sample=_zip),
    FileFormat(name="tar", pattern=re.compile(rb".{257}ustar", re.DOTALL), unpack=_untar, sample=_tar),
    FileFormat(
        name="parquet",
        pattern=re.compile(rb"PAR1"),
        read=_read_parquet,
        sample=_columnar(lambda table, out: table.write_parquet(out)),
    ),
    FileFormat(
        name="Arrow",
        pattern=re.compile(rb"ARROW1"),
        read=_read_arrow,
        sample=_columnar(lambda table, out: table.write_ipc(out)),
    ),
    FileFormat(
        name="Arrow stream",
        pattern=re.compile(rb"\xff{4}.{3}\0", re.DOTALL),
        read=_read_arrow_stream,
        sample=_columnar(lambda table, out: table.write_ipc_stream(out)),
    ),
)
_REFUSED: Final = (
    _refused("an empty ZIP archive", "", rb"PK\x05\x06", b"PK\x05\x06" + b"\0" * 18),
    _refused("an Excel workbook (.xls)", "save it as CSV", rb"\xd0\xcf\x11\xe0", b"\xd0\xcf\x11\xe0\xa1\xb1"),
    _refused("an SQLite database", "export the table as CSV", rb"SQLite format 3\0", b"SQLite format 3\0"),
    _refused("a DuckDB database", "export the table as CSV", rb".{8}DUCK", b"\0" * 8 + b"DUCK"),
    _refused("an Access database", "export the table as CSV", rb"\0\x01\0\0Standard ", b"\0\x01\0\0Standard Jet DB"),
    _refused("a PostgreSQL dump", "restore it and export the table as CSV", rb"PGDMP", b"PGDMP\x01"),
    _refused(
        "an SQL dump",
        "load it and export the table as CSV",
        rb"(?i)\s*(--[^\n]*\s+)*(/\*|create (table|database)|drop table|insert into|copy \S+.*from stdin)",
        b"-- MySQL dump\n\nINSERT INTO `statcast` VALUES (1,2);\n",
    ),
    _refused("a Feather file of version 1", _TABLE, rb"FEA1", b"FEA1"),
    _refused("an encrypted parquet file", "write it as CSV or plain parquet", rb"PARE", b"PARE"),
    _refused("a 7z archive", "unpack it", rb"7z\xbc\xaf'\x1c", b"7z\xbc\xaf'\x1c"),
    _refused("a RAR archive", "unpack it", rb"Rar!", b"Rar!\x1a\x07"),
    _refused("compressed with Zstandard", "decompress it", rb"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\0"),
    _refused("compressed with LZ4", "decompress it", rb"\x04\x22\x4d\x18", b"\x04\x22\x4d\x18"),
    _refused("compressed with zlib", "decompress it", rb"x[\x01\x5e\x9c\xda][\x80-\xff\0]", b"x\x9c\xed\xbd"),
    _refused("compressed with compress (.Z)", "decompress it", rb"\x1f\x9d", b"\x1f\x9d\x90"),
    _refused("an HDF5 file", _TABLE, rb"\x89HDF", b"\x89HDF\r\n\x1a\n"),
    _refused("a NetCDF file", _TABLE, rb"CDF[\x01\x02\x05]", b"CDF\x01"),
    _refused("an R data file", "write it with write.csv", rb"RD[AX][23]\n", b"RDX3\nX\n"),
    _refused("an R data file (.rds)", "write it with write.csv", rb"X\n\0\0\0|A\n[23]\n", b"X\n\0\0\0\x03\0\x04"),
    _refused("an R data file (.qs)", "write it with write.csv", rb"\x0b\x0e\x0a\x0c", b"\x0b\x0e\x0a\x0c"),
    _refused(
        "a Python pickle, which is never opened",
        _TABLE,
        rb"\x80[\x02-\x05][\x80-\xff(]|\x80[\x02-\x05]c",
        b"\x80\x04\x95",
    ),
    _refused("a NumPy array", _TABLE, rb"\x93NUMPY", b"\x93NUMPY\x01\0"),
    _refused("an SPSS file", "save it as CSV", rb"\$FL[23]@\(#\)", b"$FL2@(#) SPSS"),
    _refused("a Stata file", "save it as CSV", rb"<stata_dta>", b"<stata_dta><header>"),
    _refused("a SAS file", "save it as CSV", rb"\0{12}\xc2\xea\x81\x60", b"\0" * 12 + b"\xc2\xea\x81\x60"),
    _refused("an ORC file", _TABLE, rb"ORC", b"ORC"),
    _refused("an Avro file", _TABLE, rb"Obj\x01", b"Obj\x01"),
    _refused("a PDF document", "", rb"%PDF", b"%PDF-1.7"),
    _refused("a rich text document", "", rb"\{\\rtf", b"{\\rtf1"),
    _refused("an image", "", rb"\x89PNG|\xff\xd8\xff|GIF8", b"\x89PNG\r\n\x1a\n\0\0\0"),
    _refused("an Apple property list", "", rb"bplist00", b"bplist00"),
    _refused("UTF-32 text", "save it as UTF-8", rb"\xff\xfe\0\0|\0\0\xfe\xff", b"\xff\xfe\0\0g\0\0\0"),
    _refused(
        "a Git LFS pointer, not the file",
        "fetch the file with git lfs pull",
        rb"version https://git-lfs",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    ),
    _refused("JSON, not a table", _TABLE, rb"(\xef\xbb\xbf)?\s*[\[{]\s*[\[{\"\]}]", b'[{"game_pk": 1}, {"game_pk'),
    _refused(
        "an HTML page, not a table",
        "",
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|!--|html|head|body|table|div)",
        b"<!DOCTYPE html><html><body>Just a moment...</body></html>",
    ),
    _refused(
        "an XML document, not a table",
        "save it as CSV",
        rb"(?i)(\xef\xbb\xbf)?\s*<\?xml",
        b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>',
    ),
)
FORMATS: Final = (*_READ, *_REFUSED)
