"""Sources of training rows: the database, or Statcast files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ondeck_core.errors import OndeckError, SourceRefusedError
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.tasks import Task
from ondeck_store.ingest.statcast_files import exports_in
from ondeck_store.migrations import open_migrated
from ondeck_store.pitches.queries import read_day_range, read_pitches
from ondeck_store.settings import StoreSettings
from ondeck_trainer.data.dataset import list_columns

REGULAR_SEASON: Final = "R"
_ROW_ORDER: Final = ("game_date", "game_pk", "at_bat_number", "pitch_number")


class NoStoredRowsError(OndeckError):
    """There are no regular-season rows to train on or to evaluate."""


async def read_stored_rows(settings: StoreSettings, task: Task) -> pl.DataFrame:
    """Read the columns of a task from all stored regular-season rows, simulated ones excluded.

    Raises:
        NoStoredRowsError: no such row is stored.
    """
    async with open_migrated(settings) as database, database.engine.connect() as connection:
        span = await read_day_range(connection)
        if span is None:
            raise NoStoredRowsError(
                f"no regular-season rows in {database.described}; load some first: "
                "ondeck ingest files PATH..., or ondeck ingest days FROM TO"
            )
        first, last = span
        return await read_pitches(connection, first_day=first, last_day=last, columns=list_columns(task))


def read_statcast_files(paths: Sequence[Path], task: Task) -> pl.DataFrame:
    """Read the columns of a task from the regular-season rows of Statcast exports, in the order of play.

    Needs no database. If several files have the same pitch, the row of the first file is kept.

    Raises:
        SourceRefusedError: a file cannot be read, or is not a Statcast export.
        NoStoredRowsError: the files have no regular-season row.
    """
    parts = [_read_regular_season(path, task) for path in exports_in(paths)]
    rows = pl.concat(parts).unique(list(_ROW_ORDER[1:]), keep="first", maintain_order=True).sort(_ROW_ORDER)
    if rows.is_empty():
        raise NoStoredRowsError("the files have no row of a regular season (game_type R)")
    return rows.select(list_columns(task))


def _read_regular_season(path: Path, task: Task) -> pl.DataFrame:
    try:
        rows = parse_cells(decode_cells(path.read_bytes())).rows
    except OSError as error:
        raise SourceRefusedError(f"{path} cannot be read ({error.strerror})") from error
    except SourceRefusedError as error:
        raise SourceRefusedError(f"{path}: {error}") from error
    columns = dict.fromkeys([*_ROW_ORDER, *list_columns(task)])
    return rows.filter(pl.col("game_type") == REGULAR_SEASON).select(list(columns))
