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
from ondeck_core.statcast.leagues import LEAGUE, LEAGUES, LEFT_OUT, MAJOR, MAJOR_REGULAR_SEASON, GameSelection
from ondeck_core.statcast.legacy_codes import CODES
from ondeck_core.statcast.parse import count_reasons, parse_cells, reject_unusable
from ondeck_core.statcast.row_checks import CODE, NO_KEY
from ondeck_core.statcast.schema import KEY
from ondeck_core.task_rows import has_unknown_outcome, required_values
from ondeck_core.tasks import Task
from ondeck_store.ingest.statcast_files import exports_in, read_file
from ondeck_store.migrations import open_migrated
from ondeck_store.pitches.queries import (
    count_by_league,
    count_other_values,
    count_pitches,
    read_day_range,
    read_pitches,
    selected_values,
)
from ondeck_store.settings import StoreSettings
from ondeck_trainer.data.dataset import Dataset, convert_rows, join_parts, list_columns, other_tasks, unknown_outcome

_ROW_ORDER: Final = ("game_date", "game_pk", "at_bat_number", "pitch_number")


class NoStoredRowsError(OndeckError):
    """There are no regular-season rows to train on or to evaluate."""


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """Statcast rows of a league in the order of play, and what became of all rows that were read."""

    rows: pl.DataFrame
    account: RowAccount
    league: str = MAJOR

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "SourceRows":
        """Return rows that are all that was read."""
        return cls(rows=rows, account=RowAccount(read=rows.height, used=rows.height))

    def keep(self, rows: pl.DataFrame, reason: str) -> "SourceRows":
        """Return a part of the rows; the others are left out for `reason`."""
        return replace(self, rows=rows, account=self.account.leave_out(reason, self.rows.height - rows.height))


async def read_stored_rows(
    settings: StoreSettings, task: Task, games: GameSelection = MAJOR_REGULAR_SEASON
) -> SourceRows:
    """Read the rows and the columns of a task from all stored rows of the selected games, simulated ones excluded.

    With the major leagues, the account has the stored rows of other leagues, too.

    Raises:
        NoStoredRowsError: no regular-season row is stored.
    """
    async with _open_months(settings, task, games) as stored:
        rows = pl.concat([month async for month in stored.months])
    account = stored.leave_out_unread(task, rows.height, rows.filter(has_unknown_outcome(task)).height)
    return SourceRows(rows=rows, account=account, league=games.league)


async def read_stored_dataset(settings: StoreSettings, task: Task) -> Dataset:
    """Read all stored regular-season rows of a task, simulated ones excluded, month by month into a dataset.

    Only the columns of the task are read; text is converted to numbers before the next month is read.

    Raises:
        NoStoredRowsError: no regular-season row is stored.
        NoTaskRowsError: no row is of the task and has all required fields.
    """
    async with _open_months(settings, task, MAJOR_REGULAR_SEASON) as stored:
        parts = [convert_rows(task, month) async for month in stored.months]
    unknown = sum(part.account.left_out.get(unknown_outcome(task), 0) for part in parts)
    return join_parts(task, parts, stored.leave_out_unread(task, sum(part.account.read for part in parts), unknown))


@dataclass(frozen=True, kw_only=True)
class _StoredMonths:
    """The stored rows that may be of a task, month by month; account and `unknown` outcomes are those of all rows."""

    account: RowAccount
    unknown: int
    months: AsyncIterator[pl.DataFrame]

    def leave_out_unread(self, task: Task, read: int, unknown_read: int) -> RowAccount:
        """Return the account without the rows that were not read: of an unknown outcome, or of other tasks."""
        unread = self.account.used - read
        unknown = self.unknown - unknown_read
        return self.account.leave_out(unknown_outcome(task), unknown).leave_out(other_tasks(task), unread - unknown)


@asynccontextmanager
async def _open_months(settings: StoreSettings, task: Task, games: GameSelection) -> AsyncIterator[_StoredMonths]:
    """Open the stored rows of a task, all of one moment."""
    async with open_migrated(settings) as database, database.engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        days = await read_day_range(connection, games)
        if days is None:
            raise NoStoredRowsError(
                f"no {_describe(games)} in {database.described}; load some first: "
                "ondeck ingest files PATH..., or ondeck ingest days FROM TO"
            )
        stored = await count_pitches(connection, games)
        others = await count_by_league(connection) if games.league == MAJOR else {}
        left_out = {LEFT_OUT[league]: pitches for league, pitches in others.items() if pitches}
        account = RowAccount(read=stored + sum(left_out.values()), used=stored, left_out=left_out)
        unknown = await count_other_values(connection, games, task.outcome_column, CODES[task.outcome_column])
        yield _StoredMonths(account=account, unknown=unknown, months=_read_months(connection, task, games, days))


async def _read_months(
    connection: AsyncConnection, task: Task, games: GameSelection, days: tuple[date, date]
) -> AsyncIterator[pl.DataFrame]:
    columns, values = list_columns(task), {**selected_values(games), **required_values(task)}
    begin, last = days
    while begin <= last:
        following = (begin.replace(day=1) + timedelta(days=31)).replace(day=1)
        end = following - timedelta(days=1)
        yield await read_pitches(connection, first_day=begin, last_day=end, columns=columns, values=values)
        begin = following


def read_statcast_files(paths: Sequence[Path], task: Task, games: GameSelection = MAJOR_REGULAR_SEASON) -> SourceRows:
    """Read the columns of a task from the rows of the selected games in Statcast exports, in the order of play.

    Needs no database. If several files have the same pitch, the row of the first file is kept. Rows without a key, as
    in exports until 2016, are kept once if they are equal.

    Raises:
        SourceRefusedError: a file cannot be read, is not a Statcast export, or has no valid row.
        NoStoredRowsError: the files have no row of such games.
    """
    parts = [_read_selected(path, task, games) for path in exports_in(paths)]
    together = SourceRows(
        rows=pl.concat([part.rows for part in parts]),
        account=reduce(add, (part.account for part in parts)),
        league=games.league,
    )
    has_key = pl.all_horizontal(pl.col(name).is_not_null() for name in KEY)
    with_key, keyless = together.rows.filter(has_key), together.rows.filter(~has_key)
    distinct_rows = (with_key.unique(KEY, keep="first", maintain_order=True), keyless.unique(maintain_order=True))
    rows = pl.concat(distinct_rows).sort(_ROW_ORDER)
    distinct = together.keep(rows, "of a pitch that an earlier file has")
    if rows.is_empty():
        raise NoStoredRowsError(
            f"the files have no {_describe(games)}: {distinct.account}; `ondeck evaluate --league` evaluates others"
        )
    return replace(distinct, rows=rows.select(list_columns(task)))


def _read_selected(path: Path, task: Task, games: GameSelection) -> SourceRows:
    try:
        result = parse_cells(decode_cells(read_file(path)))
        if result.keyless.is_empty():
            reject_unusable(result)
    except SourceRefusedError as error:
        raise SourceRefusedError(f"{path}: {error}") from error
    rows = pl.concat([result.rows, result.keyless])
    rejected = count_reasons(replace(result, rejected=result.rejected.filter(pl.col(CODE) != NO_KEY)))
    columns = dict.fromkeys([*_ROW_ORDER, *list_columns(task)])
    used = [column for column in result.unreadable if column.name in columns]
    account = RowAccount(
        read=result.rows_in,
        used=rows.height,
        left_out={f"rejected ({reason})": count for reason, count in rejected.items()},
        unreadable_cells={column.name: column.rows for column in used},
    )
    chosen = _select(SourceRows(rows=rows, account=account), games)
    return replace(chosen, rows=chosen.rows.select(list(columns)))


def _select(source: SourceRows, games: GameSelection) -> SourceRows:
    """Keep the rows of the selected games; the account has each other league."""
    for league in LEAGUES:
        if league != games.league:
            source = source.keep(source.rows.filter(league != LEAGUE), LEFT_OUT[league])
    if not games.game_types:
        return source
    return source.keep(source.rows.filter(pl.col("game_type").is_in(games.game_types)), "not of a regular season")


def _describe(games: GameSelection) -> str:
    kind = "regular-season rows" if games.game_types else "rows"
    return f"{kind} {LEFT_OUT[games.league]}"
