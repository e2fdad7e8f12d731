"""What some bytes are, by looking at them and not at their name: the cells of a Statcast export, or refused."""

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
    return table.select(pl.all().cast(pl.String))


def _csv(content: bytes) -> pl.DataFrame:
    text = _decoded(content)
    header = _row(text)
    if [cell.strip().lower() for cell in header][:1] == ["error"]:
        raise _refused(f"is an error message: {text.partition(chr(10))[2].strip()[:200]!r}")
    _refuse_cut_line(text, header)
    try:
        return pl.read_csv(text.encode(), infer_schema=False)
    except pl.exceptions.PolarsError as broken:
        raise _refused(f"is not a CSV file that can be read ({_first_line(broken)})") from broken


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        raise _refused(f"is not UTF-8 text ({broken.reason} at byte {broken.start})") from broken
    if "\0" in text:
        raise _refused("is binary data, not text")
    return text


def _refuse_cut_line(text: str, header: list[str]) -> None:
    if text.endswith("\n"):
        return
    last = _row(text[text.rfind("\n") + 1 :])
    if len(last) != len(header):
        raise _refused(f"ends in the middle of a row ({len(last)} of {len(header)} cells): it is truncated")


def _row(text: str) -> list[str]:
    """Read the first row of a CSV text."""
    try:
        return next(csv.reader(io.StringIO(text)), [])
    except csv.Error as broken:
        raise _refused(f"is not a CSV file that can be read ({broken})") from broken


def _refused(what: str) -> SourceRefusedError:
    return SourceRefusedError(f"it {what}; wanted is a Statcast export as CSV, gzipped CSV or parquet")


def _beginning(content: bytes) -> str:
    return content.strip()[:40].decode(errors="replace")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
