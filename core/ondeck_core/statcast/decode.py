"""Decoding of Statcast exports: bytes to a table of text. The bytes decide on the format, not the file name.

Compression is undone; a format that is not read is refused by its name. Source of the signatures: the specification of
each format.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.export_formats import find_separator, to_plain_cells

_PARQUET: Final = b"PAR1"
_ARROW: Final = b"ARROW1"
_MAX_BYTES: Final = 2 << 30  # a season of pitches has 0.5 GB as CSV
_MAX_LAYERS: Final = 4  # an export that a browser and a person compressed again has two
_ZIP: Final = b"PK\x03\x04"
_TAR: Final = (b"ustar", 257)
_CHUNK: Final = 1 << 20

_OTHER_FORMATS: Final[Mapping[bytes, str]] = {
    b"PK\x05\x06": "is an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook (.xls): save it as CSV",
    b"SQLite format 3\0": "is an SQLite database: export the table as CSV",
    b"FEA1": "is a Feather file of version 1: write it as CSV or parquet",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive: unpack it",
    b"Rar!": "is a RAR archive: unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed with Zstandard: decompress it",
    b"\x04\x22\x4d\x18": "is compressed with LZ4: decompress it",
    b"\x89HDF": "is an HDF5 file: write it as CSV or parquet",
    b"RDX": "is an R data file: write it with write.csv",
    b"X\n\0\0": "is an R data file (.rds): write it with write.csv",
    b"\x80\x04\x95": "is a Python pickle, which is never opened: write it as CSV or parquet",
    b"\x80\x05\x95": "is a Python pickle, which is never opened: write it as CSV or parquet",
    b"ORC": "is an ORC file: write it as CSV or parquet",
    b"Obj\x01": "is an Avro file: write it as CSV or parquet",
    b"%PDF": "is a PDF document",
    b"{\\rtf": "is a rich text document",
    b"\xff\xfe\0\0": "is UTF-32 text: save it as UTF-8",
    b"\0\0\xfe\xff": "is UTF-32 text: save it as UTF-8",
}
_QUOTED: Final = re.compile(rb'"[^"]*"')
_HTML: Final = re.compile(rb"\A\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
_SEPARATOR_LINE: Final = re.compile(rb'\A"?sep=.?"?\r?\n')  # Excel's first line
_UTF8_LETTER: Final = re.compile(rb"[\xc3-\xc5][\x80-\xbf]")
_NOT_WESTERN: Final = re.compile(rb"[\x80-\xbf\xd7\xf7]|(?<![A-Za-z\xc0-\xff])[\xc0-\xff](?![A-Za-z\xc0-\xff])")
ROW_CAPS: Final = (25_000, 30_000, 40_000)  # Savant silently truncates a response at these row counts


def decode_cells(content: bytes) -> pl.DataFrame:
    """Read an export as a table of text with Savant's spelling of names, numbers and dates; it may have no rows.

    Reads CSV with any usual separator, in UTF-8, UTF-16 or Western European letters, parquet and Arrow files, also
    compressed.

    Raises:
        SourceRefusedError: the content has another format, is incomplete, or has dates with two readings.
    """
    content = _unpack(content)
    if not content.strip():
        raise _refusal("is empty")
    if _HTML.match(content):
        raise _refusal(f"is an HTML page, not a table ({_excerpt(content)!r})")
    for signature, name, read in ((_PARQUET, "parquet", pl.read_parquet), (_ARROW, "Arrow", pl.read_ipc)):
        if content.startswith(signature):
            return to_plain_cells(_read_columns(content, name, read))
    return _read_csv(_to_utf8(content))


def reject_capped(cells: pl.DataFrame) -> None:
    """Reject a network response with exactly as many rows as Savant's limit.

    Raises:
        SourceRefusedError: the response is probably truncated.
    """
    if cells.height in ROW_CAPS:
        raise _refusal(f"has {cells.height} rows, the count at which Savant truncates a response; request fewer days")


def _read_columns(content: bytes, name: str, read: Callable[[io.BytesIO], pl.DataFrame]) -> pl.DataFrame:
    try:
        table = read(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _refusal(f"is a broken or truncated {name} file ({_first_line(error)})") from error
    return pl.DataFrame([_to_text(table.drop_in_place(column)) for column in table.columns])


def _to_text(column: pl.Series) -> pl.Series:
    try:
        text = column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise _refusal(f"has a column that cannot be text, {column.name} ({_first_line(error)})") from error
    if not column.dtype.is_numeric() and text.str.contains("\0", literal=True).any():
        raise _refusal(f"has binary data, not text, in its column {column.name}")
    return text


def _to_utf8(content: bytes) -> bytes:
    """Return text as UTF-8 with line feeds; without a mark of its encoding it is UTF-8 or Western European."""
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content = content.decode("utf-16").encode()
        content.decode()
    except UnicodeDecodeError as error:
        content = _from_western(content, error)
    if b"\0" in content:
        raise _refusal("is binary data, not text")
    content = content.removeprefix(codecs.BOM_UTF8)
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def _from_western(content: bytes, error: UnicodeDecodeError) -> bytes:
    """Decode Latin-1 text whose only bytes beyond ASCII are letters within words, as in names."""
    if b"\0" in content or _UTF8_LETTER.search(content) or _NOT_WESTERN.search(content):
        raise _refusal(f"is not UTF-8 text ({error.reason} at byte {error.start})") from error
    return content.decode("latin-1").encode()


def _read_csv(content: bytes) -> pl.DataFrame:
    content = _strip_blank_end(_SEPARATOR_LINE.sub(b"", content))
    first, _, others = content.partition(b"\n")
    separator = find_separator(first.decode())
    header = _split_row(first, separator)
    if [cell.strip().lower() for cell in header][:1] == ["error"]:
        raise _refusal(f"is an error message: {_excerpt(others, 200)!r}")
    if len(_split_row(others.partition(b"\n")[0], separator)) == len(header) + 1:
        content, header = separator.encode() + content, ["", *header]  # R names no column of row names
    _reject_cut_line(content, header, separator)
    _reject_short_lines(content, header, separator)
    try:
        cells = pl.read_csv(content, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        raise _refusal(f"is not a CSV file that can be read ({_first_line(error)})") from error
    return to_plain_cells(cells, separator)


def _strip_blank_end(content: bytes) -> bytes:
    lines = content.rstrip(b"\r\n")
    return content if lines == content else lines + b"\n"


def _reject_cut_line(content: bytes, header: list[str], separator: str) -> None:
    if content.endswith(b"\n"):
        return
    last = _split_row(content[content.rfind(b"\n") + 1 :], separator)
    if len(last) != len(header):
        raise _refusal(f"ends in the middle of a row ({len(last)} of {len(header)} cells): it is truncated")


def _reject_short_lines(content: bytes, header: list[str], separator: str) -> None:
    """Reject rows with missing cells, which polars would pad; rows with extra cells polars rejects itself."""
    unquoted = _QUOTED.sub(b"", content)
    lines = unquoted.count(b"\n") + (not unquoted.endswith(b"\n"))
    missing = lines * (len(header) - 1) - unquoted.count(separator.encode())
    if missing > 0:
        raise _refusal(f"has rows that are too short, by {missing} cells in all: part of the content is lost")


def _split_row(line: bytes, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(line.decode()), delimiter=separator), [])
    except csv.Error as error:
        raise _refusal(f"is not a CSV file that can be read ({error})") from error


def _excerpt(content: bytes, length: int = 40) -> str:
    return content.strip()[:length].decode(errors="replace")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _unpack(content: bytes) -> bytes:
    """Return the content without its layers of gzip, bzip2, xz or ZIP.

    Raises:
        SourceRefusedError: a layer is broken, too large, or another format, which the message names.
    """
    for _ in range(_MAX_LAYERS):
        inner = _unpack_layer(content)
        if inner is None:
            _reject_other_formats(content)
            return content
        content = inner
    raise _refusal(f"is compressed more than {_MAX_LAYERS - 1} times")


def _unpack_layer(content: bytes) -> bytes | None:
    for signature, (name, open_file) in _COMPRESSED.items():
        if content.startswith(signature):
            return _decompress(content, name, open_file)
    return _unzip(content) if content.startswith(_ZIP) else None


def _open_gzip(file: io.BytesIO) -> io.BufferedIOBase:
    return gzip.GzipFile(fileobj=file)


_COMPRESSED: Final[Mapping[bytes, tuple[str, Callable[[io.BytesIO], io.BufferedIOBase]]]] = {
    b"\x1f\x8b": ("gzip", _open_gzip),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\0": ("xz", lzma.LZMAFile),
}


def _decompress(content: bytes, name: str, open_file: Callable[[io.BytesIO], io.BufferedIOBase]) -> bytes:
    try:
        with open_file(io.BytesIO(content)) as file:
            return _read_limited(file)
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise _refusal(f"is a broken or truncated {name} file ({error})") from error


def _read_limited(file: io.BufferedIOBase) -> bytes:
    found = bytearray()
    while chunk := file.read(_CHUNK):
        found += chunk
        if len(found) > _MAX_BYTES:
            raise _refusal(f"has more than {_MAX_BYTES >> 30} GiB when decompressed: split it by month")
    return bytes(found)


def _unzip(content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(_only_member(archive)) as file:
            return _read_limited(file)  # type: ignore[arg-type]  # ZipExtFile is a BufferedIOBase, typed as IO
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error, NotImplementedError) as error:
        raise _refusal(f"is a broken or truncated ZIP archive ({error})") from error
    except RuntimeError as error:
        raise _refusal("is a ZIP archive with a password: unpack it") from error


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [each for each in archive.infolist() if not each.is_dir() and not each.filename.startswith("__MACOSX/")]
    names = {each.filename for each in members}
    if "[Content_Types].xml" in names:
        raise _refusal("is an Excel workbook (.xlsx): save it as CSV")
    if "mimetype" in names:
        raise _refusal("is an OpenDocument file: save it as CSV")
    if len(members) != 1:
        raise _refusal(f"is a ZIP archive of {len(members)} files: unpack it and name the files")
    return members[0]


def _reject_other_formats(content: bytes) -> None:
    for signature, problem in _OTHER_FORMATS.items():
        if content.startswith(signature):
            raise _refusal(problem)
    signature, at = _TAR
    if content[at : at + len(signature)] == signature:
        raise _refusal("is a tar archive: unpack it and name the files")
    if content.lstrip()[:1] in {b"{", b"["} and content.rstrip()[-1:] in {b"}", b"]"}:
        raise _refusal("is JSON, not a table: write it as CSV or parquet")


def _refusal(problem: str) -> SourceRefusedError:
    """Make the error of content that is no export: "it ..."."""
    return SourceRefusedError(f"it {problem}; expected a Statcast export as CSV, gzipped CSV or parquet")
