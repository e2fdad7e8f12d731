"""Sources of training rows: the database, or Statcast files."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce
from operator import add
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import OndeckError, SourceRefusedError
from ondeck_core.evaluation import RowAccount
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import count_reasons, parse_cells, reject_unusable
from ondeck_core.task_rows import required_values
from ondeck_core.tasks import Task
from ondeck_store.ingest.statcast_files import exports_in, read_file
from ondeck_store.migrations import open_migrated
from ondeck_store.pitches.queries import REGULAR_SEASON, count_pitches, read_day_range, read_pitches
from ondeck_store.settings import StoreSettings
from ondeck_trainer.data.dataset import Dataset, convert_rows, join_parts, list_columns, other_tasks

_REGULAR_SEASON: Final = "R"
_ROW_ORDER: Final = ("game_date", "game_pk", "at_bat_number", "pitch_number")


class NoStoredRowsError(OndeckError):
    """There are no regular-season rows to train on or to evaluate."""


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """Statcast rows in the order of play, and what became of all rows that were read."""

    rows: pl.DataFrame
    account: RowAccount

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "SourceRows":
        """Return rows that are all that was read."""
        return cls(rows=rows, account=RowAccount(read=rows.height, used=rows.height))

    def keep(self, rows: pl.DataFrame, reason: str) -> "SourceRows":
        """Return a part of the rows; the others are left out for `reason`."""
        return SourceRows(rows=rows, account=self.account.leave_out(reason, self.rows.height - rows.height))


async def read_stored_rows(settings: StoreSettings, task: Task) -> SourceRows:
    """Read the rows and the columns of a task from all stored regular-season rows, simulated ones excluded.

    Raises:
        NoStoredRowsError: no regular-season row is stored.
    """
    async with _open_months(settings, task) as (stored, months):
        rows = pl.concat([month async for month in months])
    account = RowAccount(read=stored, used=stored).leave_out(other_tasks(task), stored - rows.height)
    return SourceRows(rows=rows, account=account)


async def read_stored_dataset(settings: StoreSettings, task: Task) -> Dataset:
    """Read all stored regular-season rows of a task, simulated ones excluded, month by month into a dataset.

    Only the columns of the task are read; text is converted to numbers before the next month is read.

    Raises:
        NoStoredRowsError: no regular-season row is stored.
        NoTaskRowsError: no row is of the task and has all required fields.
    """
    async with _open_months(settings, task) as (stored, months):
        parts = [convert_rows(task, month) async for month in months]
    of_task = sum(part.account.read for part in parts)
    account = RowAccount(read=stored, used=stored).leave_out(other_tasks(task), stored - of_task)
    return join_parts(task, parts, account)


@asynccontextmanager
async def _open_months(settings: StoreSettings, task: Task) -> AsyncIterator[tuple[int, AsyncIterator[pl.DataFrame]]]:
    """Return how many regular-season rows are stored, and those of the task month by month, all of one moment."""
    async with open_migrated(settings) as database, database.engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        days = await read_day_range(connection)
        if days is None:
            raise NoStoredRowsError(
                f"no regular-season rows in {database.described}; load some first: "
                "ondeck ingest files PATH..., or ondeck ingest days FROM TO"
            )
        yield await count_pitches(connection), _read_months(connection, task, *days)


async def _read_months(connection: AsyncConnection, task: Task, begin: date, last: date) -> AsyncIterator[pl.DataFrame]:
    columns, values = list_columns(task), {**REGULAR_SEASON, **required_values(task)}
    while begin <= last:
        following = (begin.replace(day=1) + timedelta(days=31)).replace(day=1)
        end = following - timedelta(days=1)
        yield await read_pitches(connection, first_day=begin, last_day=end, columns=columns, values=values)
        begin = following


def read_statcast_files(paths: Sequence[Path], task: Task) -> SourceRows:
    """Read the columns of a task from the regular-season rows of Statcast exports, in the order of play.

    Needs no database. If several files have the same pitch, the row of the first file is kept.

    Raises:
        SourceRefusedError: a file cannot be read, is not a Statcast export, or has no valid row.
        NoStoredRowsError: the files have no regular-season row.
    """
    parts = [_read_regular_season(path, task) for path in exports_in(paths)]
    together = SourceRows(
        rows=pl.concat([part.rows for part in parts]),
        account=reduce(add, (part.account for part in parts)),
    )
    rows = together.rows.unique(list(_ROW_ORDER[1:]), keep="first", maintain_order=True).sort(_ROW_ORDER)
    distinct = together.keep(rows, "of a pitch that an earlier file has")
    if rows.is_empty():
        raise NoStoredRowsError(f"the files have no row of a regular season (game_type R): {distinct.account}")
    return replace(distinct, rows=rows.select(list_columns(task)))


def _read_regular_season(path: Path, task: Task) -> SourceRows:
    try:
        result = parse_cells(decode_cells(read_file(path)))
        reject_unusable(result)
    except SourceRefusedError as error:
        raise SourceRefusedError(f"{path}: {error}") from error
    columns = dict.fromkeys([*_ROW_ORDER, *list_columns(task)])
    used = [column for column in result.unreadable if column.name in columns]
    account = RowAccount(
        read=result.rows_in,
        used=result.rows.height,
        left_out={f"rejected ({reason})": rows for reason, rows in count_reasons(result).items()},
        unreadable_cells={column.name: column.rows for column in used},
    )
    valid = SourceRows(rows=result.rows, account=account)
    regular = valid.keep(result.rows.filter(pl.col("game_type") == _REGULAR_SEASON), "not of a regular season")
    return replace(regular, rows=regular.rows.select(list(columns)))
