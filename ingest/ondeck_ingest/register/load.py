"""Read registers of players from files and load them into the database."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import SourceRefusedError
from ondeck_core.players.register_formats import CHADWICK, CHADWICK_NAMES, FANTASY, kind_of, read_register
from ondeck_core.statcast.decode import decode_cells
from ondeck_ingest.settings import LOOKUP_INTERVAL
from ondeck_store.players.register_gaps import postpone_retries, read_chadwick_ids
from ondeck_store.players.register_merge import RegisterCounts, merge_register

SUFFIXES: Final = (".csv", ".csv.gz", ".zip")
_ZIP_MAGIC: Final = b"PK"
_LOAD_ORDER: Final = (CHADWICK, CHADWICK_NAMES, FANTASY)  # each refers to players of the one before


def read_files(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file, and of the registers in each folder."""
    for path in paths:
        files = sorted(each for each in path.iterdir() if each.name.endswith(SUFFIXES)) if path.is_dir() else [path]
        yield from ((each.name, each.read_bytes()) for each in files)


def read_tables(content: bytes, name: str) -> Iterator[pl.DataFrame]:
    """Yield the tables of a CSV, a gzipped CSV, or a ZIP archive; an archive may hold other tables, which are skipped.

    Raises:
        SourceRefusedError: the content is no table, or the archive has no table of players.
    """
    if not content.startswith(_ZIP_MAGIC):
        yield decode_cells(content)
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        tables = [decode_cells(archive.read(member)) for member in archive.namelist() if member.endswith(".csv")]
    except (zipfile.BadZipFile, EOFError, OSError) as broken:
        raise SourceRefusedError(f"{name} is a broken or truncated archive ({broken})") from broken
    known = [table for table in tables if kind_of(table.columns) is not None]
    if not known:
        raise SourceRefusedError(f"{name} holds no known table of players")
    yield from known


def group_by_kind(tables: Iterator[pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Concatenate the tables of each register, in the order in which to load them.

    Raises:
        SourceRefusedError: a table has the columns of no known register.
    """
    shards: dict[str, list[pl.DataFrame]] = {kind: [] for kind in _LOAD_ORDER}
    for table in tables:
        kind = kind_of(table.columns)
        if kind is None:
            raise SourceRefusedError(f"not a known player register; its columns are {', '.join(table.columns[:6])}")
        shards[kind].append(table)
    return {kind: pl.concat(found, how="diagonal") for kind, found in shards.items() if found}


async def load_registers(connection: AsyncConnection, tables: dict[str, pl.DataFrame]) -> dict[str, RegisterCounts]:
    """Load registers by kind and schedule the next lookup of players that stay unresolved; returns counts by kind."""
    counts = {}
    for kind, cells in tables.items():
        register = read_register(cells, await read_chadwick_ids(connection))
        counts[kind] = await merge_register(connection, register)
    await postpone_retries(connection, datetime.now(UTC) + LOOKUP_INTERVAL)
    return counts
