"""Upsert of pitches with their games and players; changed rows leave a revision."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.download_time import DownloadOrder, DownloadTime, order_downloads
from ondeck_core.statcast.leagues import LEAGUE
from ondeck_core.statcast.parse import EXTRA
from ondeck_core.statcast.row_checks import UNREADABLE_CELLS
from ondeck_core.statcast.schema import NAMES
from ondeck_store.database import copy_in
from ondeck_store.pitches.player_seasons import KEEP_FORMER_DAYS, UPDATE_PLAYER_SEASONS
from ondeck_store.pitches.upsert_sql import (
    CONFIRM_GAMES,
    DIGESTS,
    GAME_COLUMNS,
    GAMES,
    LOCKED_GAMES,
    NEW_GAMES,
    NEW_STAGE,
    PLAYER_COLUMNS,
    PLAYERS,
    REMOVE_OLDER_GAMES,
    REMOVE_OLDER_ROWS,
    SPELLINGS,
    STAGE,
    STAGED,
    count_changes,
    merge,
    revise,
)

SIMULATED: Final = "simulated"
DIGEST: Final = "rows_sha256"


@dataclass(frozen=True, kw_only=True)
class UpsertCounts:
    """Number of new rows, of rows whose stored values changed, and of rows already stored as they came.

    `outdated` rows are not stored, because their pitch is stored from a newer download; of the changed rows,
    `unordered` may be of an older download than the former ones.
    """

    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    outdated: int = 0
    unordered: int = 0


@dataclass(frozen=True, kw_only=True)
class RowOrigin:
    """Where rows come from: the time of their download and the number of their load.

    With `replaces_newer`, or without a download, the rows replace stored ones of any download.
    """

    download: DownloadTime | None = None
    load: int | None = None
    replaces_newer: bool = False


UNKNOWN_ORIGIN: Final = RowOrigin()


async def upsert_pitches(
    connection: AsyncConnection,
    rows: pl.DataFrame,
    *,
    simulated: bool,
    absent: Sequence[str] = (),
    origin: RowOrigin = UNKNOWN_ORIGIN,
) -> UpsertCounts:
    """Store typed rows with distinct keys, their games and players, in the caller's transaction.

    A game whose rows equal the last import is skipped, new games are copied, and in other games each row is compared;
    a changed row leaves its former values as a revision. `absent` columns keep their stored values. A pitcher gets the
    name of the rows, a batter has an id only. A row of an older download never replaces one of a newer download. The
    sums of the players are kept.
    """
    labeled = rows.select(
        *NAMES, pl.lit(simulated).alias(SIMULATED), *(_json_column(rows, name) for name in (EXTRA, UNREADABLE_CELLS))
    )
    digests = _digest_games(labeled, absent)
    changed_games = await _find_changed_games(connection, digests)
    changed_rows = labeled.join(changed_games, on="game_pk", how="semi", maintain_order="left")
    await _confirm_games(connection, digests.join(changed_games, on="game_pk", how="anti"), origin)
    if changed_rows.is_empty():
        return UpsertCounts(unchanged=rows.height)
    games = (
        changed_rows.select(*GAME_COLUMNS, LEAGUE, *_downloaded(origin))
        .unique("game_pk", keep="first", maintain_order=True)
        .join(changed_games, on="game_pk")
    )
    are_new, game_pks = await _insert_new_games(connection, games), changed_games["game_pk"].to_list()
    await execute_for_games(connection, KEEP_FORMER_DAYS, game_pks)
    if are_new:
        await _stage(connection, changed_rows.select(PLAYER_COLUMNS).unique())
        await _upsert_players(connection)
        await copy_in(connection, "pitches", changed_rows)
        counts = UpsertCounts(inserted=changed_rows.height)
    else:
        await _stage(connection, changed_rows)
        counts = await _merge(connection, game_pks, absent, origin)
    await execute_for_games(connection, UPDATE_PLAYER_SEASONS, game_pks)
    return replace(counts, unchanged=rows.height - counts.inserted - counts.changed - counts.outdated)


async def execute_for_games(connection: AsyncConnection, statements: Sequence[str], games: Sequence[int]) -> None:
    """Execute statements in their order, with the numbers of the games as `:games`."""
    for statement in statements:
        await connection.execute(text(statement), {"games": games})


async def _merge(
    connection: AsyncConnection, games: Sequence[int], absent: Sequence[str], origin: RowOrigin
) -> UpsertCounts:
    """Store the staged rows that are new or differ from those stored; returns the counts without unchanged rows."""
    outdated, unordered = await _remove_older(connection, games, absent, origin)
    await connection.execute(text(GAMES))
    await _upsert_players(connection)
    changed = (await connection.execute(text(revise(absent)), {"load": origin.load})).rowcount
    merged = (await connection.execute(text(merge(absent)))).rowcount
    return UpsertCounts(inserted=merged - changed, changed=changed, outdated=outdated, unordered=unordered)


def _downloaded(origin: RowOrigin) -> list[pl.Expr]:
    download = origin.download
    times = (None, None) if download is None else (download.not_before, download.not_after)
    return [
        pl.lit(time, dtype=pl.Datetime("us", "UTC")).alias(name)
        for name, time in zip(("downloaded_after", "downloaded_before"), times, strict=True)
    ]


async def _confirm_games(connection: AsyncConnection, games: pl.DataFrame, origin: RowOrigin) -> None:
    """Record that a download has stored games as they are."""
    download = origin.download
    if download is not None and not games.is_empty():
        times = {"after": download.not_before, "before": download.not_after}
        await connection.execute(text(CONFIRM_GAMES), {"games": games["game_pk"].to_list(), **times})


async def _remove_older(
    connection: AsyncConnection, games: Sequence[int], absent: Sequence[str], origin: RowOrigin
) -> tuple[int, int]:
    """Remove the staged rows whose pitch is stored from a newer download; locks the games.

    Returns the number of removed rows that differ from the stored ones, and of the other rows that differ from stored
    ones whose download may be newer.
    """
    by_order: defaultdict[str, list[int]] = defaultdict(list)
    for game in (await connection.execute(text(LOCKED_GAMES), {"games": games})).all():
        by_order[_order(origin, game.downloaded_after, game.downloaded_before)].append(game.game_pk)
    compared = by_order["older"] + by_order["unknown"]
    if not compared:
        return 0, 0
    found = await connection.execute(text(count_changes(absent)), {"games": compared})
    changes = {row.game_pk: row.rows for row in found}
    if by_order["older"]:
        await connection.execute(text(REMOVE_OLDER_GAMES), {"older": by_order["older"]})
        await connection.execute(text(REMOVE_OLDER_ROWS), {"older": by_order["older"]})
    outdated, unordered = (sum(changes.get(game, 0) for game in by_order[order]) for order in ("older", "unknown"))
    return outdated, unordered


def _order(origin: RowOrigin, after: datetime | None, before: datetime | None) -> DownloadOrder:
    if origin.download is None or origin.replaces_newer:
        return "newer"
    if after is None or before is None:
        return "unknown"
    return order_downloads(origin.download, DownloadTime(not_before=after, not_after=before))


def _json_column(rows: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in rows.columns else pl.lit(None, dtype=pl.String).alias(name)


def _digest_games(rows: pl.DataFrame, absent: Sequence[str]) -> pl.DataFrame:
    """Return the SHA-256 of each game's rows in order of play, including the names of the `absent` columns."""
    ordered = rows.sort("game_pk", "at_bat_number", "pitch_number")
    found = [(game[0], _sha256(each, absent)) for game, each in ordered.group_by("game_pk", maintain_order=True)]
    return pl.DataFrame(found, schema={"game_pk": pl.Int32, DIGEST: pl.String}, orient="row")


def _sha256(rows: pl.DataFrame, absent: Sequence[str]) -> str:
    buffer = io.BytesIO()
    buffer.write(" ".join(absent).encode())
    rows.write_csv(buffer, include_header=False)
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


async def _find_changed_games(connection: AsyncConnection, digests: pl.DataFrame) -> pl.DataFrame:
    known = {
        (row.game_pk, row.rows_sha256)
        for row in await connection.execute(text(DIGESTS), {"games": digests["game_pk"].to_list()})
    }
    return digests.filter(pl.Series([row not in known for row in digests.iter_rows()], dtype=pl.Boolean))


async def _insert_new_games(connection: AsyncConnection, games: pl.DataFrame) -> bool:
    """Insert the games; returns whether all of them are new, so that none has stored pitches.

    The inserted rows lock the games until the end of the transaction.
    """
    await connection.execute(text(f"DROP TABLE IF EXISTS {STAGED}_games"))
    await connection.execute(text(NEW_STAGE))
    await copy_in(connection, f"{STAGED}_games", games)
    inserted = (await connection.execute(text(NEW_GAMES))).rowcount
    return bool(inserted == games.height)


async def _stage(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    await connection.execute(text(f"DROP TABLE IF EXISTS {STAGED}"))
    await connection.execute(text(STAGE))
    await copy_in(connection, STAGED, rows)


async def _upsert_players(connection: AsyncConnection) -> None:
    await connection.execute(text(PLAYERS))
    await connection.execute(text(SPELLINGS))
