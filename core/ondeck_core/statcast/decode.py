"""Decoding of Statcast exports: bytes to a table of text. The bytes decide on the format, not the file name.

Formats other than text are in `file_formats`. Text is CSV with any usual separator. Lines that hold no row are dropped:
those before the header, empty lines, and the header where it is repeated.
"""

import codecs
import csv
import io
import re
from typing import Final

import polars as pl

from ondeck_core.statcast.export_formats import find_header, has_row_names, to_plain_cells
from ondeck_core.statcast.file_formats import FORMATS, first_line, refusal

ROW_CAPS: Final = (25_000, 30_000, 40_000)  # Savant silently truncates a response at these row counts
_MAX_LAYERS: Final = 4  # an export that a browser and a person compressed again has two
_MAX_HEADER_BYTES: Final = 1 << 16
_PREAMBLE_LINES: Final = 20
_END_OF_FILE: Final = b"\x1a"  # of CP/M and old Windows programs
_NAME_OF_HEADER: Final = b"game_pk"
_ROW: Final = "row of the file"
_QUOTED: Final = re.compile(rb'"[^"]*"')
_SEPARATOR_LINE: Final = re.compile(rb'\A"?sep=.?"?\r?\n')  # Excel's first line
_UTF8_LETTER: Final = re.compile(rb"[\xc3-\xc5][\x80-\xbf]")
_NOT_WESTERN: Final = re.compile(rb"[\x80-\xbf\xd7\xf7]|(?<![A-Za-z\xc0-\xff])[\xc0-\xff](?![A-Za-z\xc0-\xff])")
_UTF16: Final = re.compile(rb"([^\0]\0){8}|(\0[^\0]){8}")  # without a byte order mark


def decode_cells(content: bytes) -> pl.DataFrame:
    """Read an export as a table of text with Savant's spelling of names, numbers and dates; it may have no rows.

    Raises:
        SourceRefusedError: the content has another format, is incomplete, or has dates with two readings.
    """
    for _ in range(_MAX_LAYERS):
        found = next((each for each in FORMATS if each.pattern.match(content)), None)
        if found is None:
            return _read_csv(_to_utf8(content))
        if found.read is not None:
            return to_plain_cells(found.read(content))
        if found.unpack is None:
            raise refusal(f"is {found.name}{': ' if found.advice else ''}{found.advice}")
        content = found.unpack(content)
    raise refusal(f"is compressed more than {_MAX_LAYERS - 1} times")


def reject_capped(cells: pl.DataFrame) -> None:
    """Reject a network response with exactly as many rows as Savant's limit.

    Raises:
        SourceRefusedError: the response is probably truncated.
    """
    if cells.height in ROW_CAPS:
        raise refusal(f"has {cells.height} rows, the count at which Savant truncates a response; request fewer days")


def _to_utf8(content: bytes) -> bytes:
    """Return text as UTF-8 with line feeds; without a mark of its encoding it is UTF-8 or Western European."""
    has_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if has_mark or _UTF16.match(content):
        content = _from_utf16(content, "utf-16" if has_mark else "utf-16-be" if content[0] == 0 else "utf-16-le")
    try:
        _ = content.isascii() or content.decode()
    except UnicodeDecodeError as error:
        content = _from_western(content, error)
    content = content.replace(codecs.BOM_UTF8, b"").rstrip(_END_OF_FILE)
    if b"\0" in content:
        raise refusal(f"is binary data or damaged text (NUL at byte {content.index(0)})")
    if not content or content.isspace():
        raise refusal("is empty")
    return (content if b"\n" in content else content.replace(b"\r", b"\n")).replace(b"\r\r\n", b"\n")


def _from_utf16(content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).encode()
    except UnicodeError as error:
        raise refusal(f"is broken or truncated UTF-16 text ({error})") from error


def _from_western(content: bytes, error: UnicodeDecodeError) -> bytes:
    """Decode Latin-1 text whose only bytes beyond ASCII are letters within words, as in names."""
    if b"\0" in content or _UTF8_LETTER.search(content) or _NOT_WESTERN.search(content):
        raise refusal(f"is not UTF-8 text ({error.reason} at byte {error.start})") from error
    return content.decode("latin-1").encode()


def _read_csv(content: bytes) -> pl.DataFrame:
    content, separator = _from_header(_strip_blank_ends(content))
    content, header = _align_header(content, separator)
    _reject_cut_line(content, header, separator)
    _reject_short_lines(content, header, separator)
    try:
        cells = pl.read_csv(content, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        _reject_second_header(content)
        raise refusal(f"is not a CSV file that can be read ({first_line(error)})") from error
    return to_plain_cells(_drop_header_and_blank_rows(cells))


def _strip_blank_ends(content: bytes) -> bytes:
    mark = _SEPARATOR_LINE.match(content)
    content = content[mark.end() :] if mark else content
    lines = content.rstrip(b"\r\n")
    return (content if lines == content else lines + b"\n").lstrip(b"\r\n")


def _from_header(content: bytes) -> tuple[bytes, str]:
    """Return the content from its header on, and the separator of cells."""
    start = content[:_MAX_HEADER_BYTES]
    if len(start) < len(content) and b"\n" not in start:
        raise refusal(f"has a first line of more than {_MAX_HEADER_BYTES >> 10} KiB: no header of a table")
    lines = start.split(b"\n")[:_PREAMBLE_LINES]
    row, separator = find_header([line.decode(errors="replace") for line in lines])
    return content[sum(len(line) + 1 for line in lines[:row]) :], separator


def _align_header(content: bytes, separator: str) -> tuple[bytes, list[str]]:
    """Return content and header with as many names as the first row has cells: R names no column of row names.

    Raises:
        SourceRefusedError: the content is an error message of Savant.
    """
    end = content.find(b"\n") if b"\n" in content else len(content)
    header = _split_row(content[:end], separator)
    second = content[
        end + 1 : content.find(b"\n", end + 1) if content.count(b"\n", end + 1, end + 1 + _MAX_HEADER_BYTES) else None
    ]
    if len(header) == 1 and header[0].strip().lower() == "error":
        raise refusal(f"is an error message: {second[:200].decode(errors='replace')!r}")
    row = _split_row(second, separator)
    if len(row) != len(header) + 1:
        return content, header
    mark = separator.encode()
    if has_row_names(header, row):
        return mark + content, ["", *header]
    return content[:end].rstrip(b"\r") + mark + content[end:], [*header, ""]


def _drop_header_and_blank_rows(cells: pl.DataFrame) -> pl.DataFrame:
    """Drop rows whose every cell is empty or the name of its column: blank lines, and headers of appended exports."""
    names = {name: name.partition("_duplicated_")[0] for name in cells.columns}

    def is_no_data(name: str) -> pl.Expr:
        return pl.col(name).fill_null("").str.strip_chars().is_in(["", names[name]])

    suspects = cells.with_row_index(_ROW).filter(is_no_data(cells.columns[0]))
    rows = suspects.filter(pl.all_horizontal(is_no_data(name) for name in cells.columns))[_ROW]
    return cells if rows.is_empty() else cells.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(rows.implode()))


def _reject_cut_line(content: bytes, header: list[str], separator: str) -> None:
    if content.endswith(b"\n"):
        return
    last = _split_row(content[content.rfind(b"\n") + 1 :], separator)
    if len(last) != len(header):
        raise refusal(f"ends in the middle of a row ({len(last)} of {len(header)} cells): it is truncated")


def _reject_short_lines(content: bytes, header: list[str], separator: str) -> None:
    """Reject rows with missing cells, which polars would pad; rows with extra cells polars rejects itself."""
    unquoted = _QUOTED.sub(b"", content)
    separators = len(header) - 1
    lines = unquoted.count(b"\n") + (not unquoted.endswith(b"\n"))
    missing = lines * separators - unquoted.count(separator.encode())
    if missing > 0:
        missing -= separators * sum(not line.strip(b"\r ") for line in unquoted.split(b"\n")[:lines])
    if missing > 0:
        _reject_second_header(content)
        raise refusal(f"has rows that are too short, by {missing} cells in all: part of the content is lost")


def _reject_second_header(content: bytes) -> None:
    at = content.find(_NAME_OF_HEADER, content.find(b"\n") + 1)
    if at > 0:
        line = content.count(b"\n", 0, at) + 1
        raise refusal(f"has a second header in line {line}, with other columns than the first: split the file there")


def _split_row(line: bytes, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(line.decode()), delimiter=separator), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise refusal(f"is not a CSV file that can be read ({error})") from error
