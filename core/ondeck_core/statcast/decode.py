"""Decoding of Statcast exports: the format (CSV, gzip, parquet) is detected from the bytes, not from the file name."""

import codecs
import csv
import gzip
import io
import re
import zlib
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_QUOTED: Final = re.compile(rb'"[^"]*"')
_HTML: Final = re.compile(rb"\A\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
ROW_CAPS: Final = (25_000, 30_000, 40_000)  # Savant silently truncates a response at these row counts


def decode_cells(content: bytes) -> pl.DataFrame:
    """Read a Savant CSV (optionally gzipped) or parquet file as a table of text; a table may have no rows.

    Raises:
        SourceRefusedError: the content has another format or is incomplete.
    """
    if content.startswith(_GZIP):
        content = _decompress(content)
    if not content.strip():
        raise _error("is empty")
    if _HTML.match(content):
        raise _error(f"is an HTML page, not a table ({_excerpt(content)!r})")
    if content.startswith(_PARQUET):
        return _read_parquet(content)
    return _read_csv(content)


def reject_capped(cells: pl.DataFrame) -> None:
    """Reject a network response with exactly as many rows as Savant's limit.

    Raises:
        SourceRefusedError: the response is probably truncated.
    """
    if cells.height in ROW_CAPS:
        raise _error(f"has {cells.height} rows, the count at which Savant truncates a response; request fewer days")


def _decompress(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise _error(f"is a broken or truncated gzip file ({error})") from error


def _read_parquet(content: bytes) -> pl.DataFrame:
    try:
        table = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _error(f"is a broken or truncated parquet file ({_first_line(error)})") from error
    return pl.DataFrame([_to_text(table.drop_in_place(name)) for name in table.columns])


def _to_text(column: pl.Series) -> pl.Series:
    try:
        text = column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise _error(f"has a column that cannot be text, {column.name} ({_first_line(error)})") from error
    if not column.dtype.is_numeric() and text.str.contains("\0", literal=True).any():
        raise _error(f"has binary data, not text, in its column {column.name}")
    return text


def _read_csv(content: bytes) -> pl.DataFrame:
    _reject_binary(content)
    content = _strip_blank_end(content.removeprefix(codecs.BOM_UTF8))
    first, _, others = content.partition(b"\n")
    header = _split_row(first)
    if [cell.strip().lower() for cell in header][:1] == ["error"]:
        raise _error(f"is an error message: {_excerpt(others, 200)!r}")
    _reject_cut_line(content, header)
    _reject_short_lines(content, header)
    try:
        return pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise _error(f"is not a CSV file that can be read ({_first_line(error)})") from error


def _reject_binary(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise _error(f"is not UTF-8 text ({error.reason} at byte {error.start})") from error
    if b"\0" in content:
        raise _error("is binary data, not text")


def _strip_blank_end(content: bytes) -> bytes:
    lines = content.rstrip(b"\r\n")
    return content if lines == content else lines + b"\n"


def _reject_cut_line(content: bytes, header: list[str]) -> None:
    if content.endswith(b"\n"):
        return
    last = _split_row(content[content.rfind(b"\n") + 1 :])
    if len(last) != len(header):
        raise _error(f"ends in the middle of a row ({len(last)} of {len(header)} cells): it is truncated")


def _reject_short_lines(content: bytes, header: list[str]) -> None:
    """Reject rows with missing cells, which polars would pad; rows with extra cells polars rejects itself."""
    unquoted = _QUOTED.sub(b"", content)
    lines = unquoted.count(b"\n") + (not unquoted.endswith(b"\n"))
    missing = lines * (len(header) - 1) - unquoted.count(b",")
    if missing > 0:
        raise _error(f"has rows that are too short, by {missing} cells in all: part of the content is lost")


def _split_row(line: bytes) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(line.decode())), [])
    except csv.Error as error:
        raise _error(f"is not a CSV file that can be read ({error})") from error


def _error(problem: str) -> SourceRefusedError:
    return SourceRefusedError(f"it {problem}; expected a Statcast export as CSV, gzipped CSV or parquet")


def _excerpt(content: bytes, length: int = 40) -> str:
    return content.strip()[:length].decode(errors="replace")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
