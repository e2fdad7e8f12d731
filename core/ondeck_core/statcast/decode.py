"""What some bytes are, by looking at them and not at their name: the cells of a Statcast export, or refused."""

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
CAPS: Final = (25_000, 30_000, 40_000)  # Savant cuts an answer off at such a count and does not say so


def cells_of(content: bytes) -> pl.DataFrame:
    """Read the cells of a Savant CSV (also gzipped) or a parquet file as text, columns by name; no rows is no error.

    Raises:
        SourceRefusedError: it is something else, or not whole; the text says what it is and what would be right.
    """
    if content.startswith(_GZIP):
        content = _unzipped(content)
    if not content.strip():
        raise _refused("is empty")
    if _HTML.match(content):
        raise _refused(f"is an HTML page, not a table ({_beginning(content)!r})")
    if content.startswith(_PARQUET):
        return _parquet(content)
    return _csv(content)


def refuse_capped(cells: pl.DataFrame) -> None:
    """Refuse a network answer that has just as many rows as Savant gives at the most.

    Raises:
        SourceRefusedError: it was probably cut off.
    """
    if cells.height in CAPS:
        raise _refused(f"has {cells.height} rows, just where Savant cuts an answer off; ask for fewer days at once")


def _unzipped(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as broken:
        raise _refused(f"is a broken or truncated gzip file ({broken})") from broken


def _parquet(content: bytes) -> pl.DataFrame:
    try:
        table = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as broken:
        raise _refused(f"is a broken or truncated parquet file ({_first_line(broken)})") from broken
    return pl.DataFrame([_as_text(table.drop_in_place(name)) for name in table.columns])


def _as_text(column: pl.Series) -> pl.Series:
    try:
        text = column.cast(pl.String)
    except pl.exceptions.PolarsError as unfit:
        raise _refused(f"has a column that cannot be text, {column.name} ({_first_line(unfit)})") from unfit
    if not column.dtype.is_numeric() and text.str.contains("\0", literal=True).any():
        raise _refused(f"has binary data, not text, in its column {column.name}")
    return text


def _csv(content: bytes) -> pl.DataFrame:
    _refuse_binary(content)
    content = _without_blank_end(content.removeprefix(codecs.BOM_UTF8))
    first, _, others = content.partition(b"\n")
    header = _row(first)
    if [cell.strip().lower() for cell in header][:1] == ["error"]:
        raise _refused(f"is an error message: {_beginning(others, 200)!r}")
    _refuse_cut_line(content, header)
    _refuse_short_lines(content, header)
    try:
        return pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError as broken:
        raise _refused(f"is not a CSV file that can be read ({_first_line(broken)})") from broken


def _refuse_binary(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as broken:
        raise _refused(f"is not UTF-8 text ({broken.reason} at byte {broken.start})") from broken
    if b"\0" in content:
        raise _refused("is binary data, not text")


def _without_blank_end(content: bytes) -> bytes:
    lines = content.rstrip(b"\r\n")
    return content if lines == content else lines + b"\n"


def _refuse_cut_line(content: bytes, header: list[str]) -> None:
    if content.endswith(b"\n"):
        return
    last = _row(content[content.rfind(b"\n") + 1 :])
    if len(last) != len(header):
        raise _refused(f"ends in the middle of a row ({len(last)} of {len(header)} cells): it is truncated")


def _refuse_short_lines(content: bytes, header: list[str]) -> None:
    """Lines that are too long polars refuses; those that are too short it fills up."""
    unquoted = _QUOTED.sub(b"", content)
    lines = unquoted.count(b"\n") + (not unquoted.endswith(b"\n"))
    missing = lines * (len(header) - 1) - unquoted.count(b",")
    if missing > 0:
        raise _refused(f"has rows that are too short, by {missing} cells in all: something of it was lost")


def _row(line: bytes) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(line.decode())), [])
    except csv.Error as broken:
        raise _refused(f"is not a CSV file that can be read ({broken})") from broken


def _refused(what: str) -> SourceRefusedError:
    return SourceRefusedError(f"it {what}; wanted is a Statcast export as CSV, gzipped CSV or parquet")


def _beginning(content: bytes, length: int = 40) -> str:
    return content.strip()[:length].decode(errors="replace")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
