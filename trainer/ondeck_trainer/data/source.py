"""Where rows come from: the store, or files as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ondeck_core.errors import OndeckError, SourceRefusedError
from ondeck_core.statcast.decode import cells_of
from ondeck_core.statcast.parse import read_cells
from ondeck_core.tasks import Task
from ondeck_store.database import open_database
from ondeck_store.ingest.statcast_files import exports_in
from ondeck_store.migrations import migrate
from ondeck_store.pitches.queries import read_pitches, span_of_days
from ondeck_store.settings import StoreSettings
from ondeck_trainer.data.dataset import columns_of

REGULAR_SEASON: Final = "R"
_IN_ORDER: Final = ("game_date", "game_pk", "at_bat_number", "pitch_number")


class NoStoredRowsError(OndeckError):
    """There are no rows to learn from, or to judge on."""


async def stored_rows(settings: StoreSettings, task: Task) -> pl.DataFrame:
    """Read the columns of a task of every real regular-season row that is stored.

    Raises:
        NoStoredRowsError: there is none.
    """
    async with open_database(settings) as database:
        await migrate(database.engine)
        async with database.engine.connect() as connection:
            span = await span_of_days(connection)
            if span is None:
                raise NoStoredRowsError(
                    f"no regular-season rows in {database.described}; load some first: "
                    "ondeck ingest files PATH..., or ondeck ingest days FROM TO"
                )
            first, last = span
            return await read_pitches(connection, first_day=first, last_day=last, columns=columns_of(task))


def rows_of_files(paths: Sequence[Path], task: Task) -> pl.DataFrame:
    """Read the columns of a task of the regular-season rows of exports, in the order of play; no database is needed.

    Of a pitch that several files hold the first is taken.

    Raises:
        SourceRefusedError: a file cannot be read, or is no Statcast export.
        NoStoredRowsError: they hold no regular-season row.
    """
    parts = [_regular(path, task) for path in exports_in(paths)]
    rows = pl.concat(parts).unique(list(_IN_ORDER[1:]), keep="first", maintain_order=True).sort(_IN_ORDER)
    if rows.is_empty():
        raise NoStoredRowsError("the files hold no row of a regular season (game_type R)")
    return rows.select(columns_of(task))


def _regular(path: Path, task: Task) -> pl.DataFrame:
    try:
        rows = read_cells(cells_of(path.read_bytes())).rows
    except OSError as unread:
        raise SourceRefusedError(f"{path} cannot be read ({unread.strerror})") from unread
    except SourceRefusedError as refused:
        raise SourceRefusedError(f"{path}: {refused}") from refused
    wanted = dict.fromkeys([*_IN_ORDER, *columns_of(task)])
    return rows.filter(pl.col("game_type") == REGULAR_SEASON).select(list(wanted))
