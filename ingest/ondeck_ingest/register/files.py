"""Registers as files: a CSV, also gzipped, or an archive or a folder of them, whatever they are called."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from ondeck_core.errors import SourceRefusedError
from ondeck_core.players.register_formats import CHADWICK, CHADWICK_NAMES, FANTASY, kind_of
from ondeck_core.statcast.decode import cells_of

ENDINGS: Final = (".csv", ".csv.gz", ".zip")
_ZIP: Final = b"PK"
_ORDER: Final = (CHADWICK, CHADWICK_NAMES, FANTASY)


def tables_of(content: bytes, name: str) -> Iterator[pl.DataFrame]:
    """Read every table of players that some bytes hold; other tables of an archive are passed over.

    Raises:
        SourceRefusedError: they are no table, or hold none of players.
    """
    if not content.startswith(_ZIP):
        yield cells_of(content)
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        shards = [cells_of(archive.read(member)) for member in archive.namelist() if member.endswith(".csv")]
    except (zipfile.BadZipFile, EOFError, OSError) as broken:
        raise SourceRefusedError(f"{name} is a broken or truncated archive ({broken})") from broken
    known = [shard for shard in shards if kind_of(shard.columns) is not None]
    if not known:
        raise SourceRefusedError(f"{name} holds no table of players that is known here")
    yield from known


def content_of(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Read files, and the registers in folders, with their names."""
    for path in paths:
        inside = sorted(each for each in path.iterdir() if each.name.endswith(ENDINGS)) if path.is_dir() else [path]
        yield from ((each.name, each.read_bytes()) for each in inside)


def by_kind(tables: Iterator[pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Put the shards of each register together, in the order in which one needs the other.

    Raises:
        SourceRefusedError: one of them is no register that is known here.
    """
    shards: dict[str, list[pl.DataFrame]] = {kind: [] for kind in _ORDER}
    for table in tables:
        kind = kind_of(table.columns)
        if kind is None:
            raise SourceRefusedError(f"not a known player register; its columns are {', '.join(table.columns[:6])}")
        shards[kind].append(table)
    return {kind: pl.concat(found, how="diagonal") for kind, found in shards.items() if found}
