"""Pitches: written as whole tables of rows, read as whole tables of columns, as they are or as they were."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.parse import EXTRA
from ondeck_core.statcast.schema import NAMES
from ondeck_store.database import copy_in
from ondeck_store.pitches.upsert_sql import (
    DIGESTS,
    GAMES,
    NEW_GAMES,
    NEW_STAGE,
    OF_GAMES,
    OF_PLAYERS,
    PLAYERS,
    SPELLINGS,
    STAGE,
    STAGED,
    merge,
    revise,
)

SIMULATED: Final = "simulated"
DIGEST: Final = "rows_sha256"


@dataclass(frozen=True, kw_only=True)
class UpsertCounts:
    """What became of rows: inserted or changed, or found as they were."""

    stored: int
    unchanged: int


async def upsert_pitches(
    connection: AsyncConnection, rows: pl.DataFrame, *, simulated: bool, untold: Sequence[str] = ()
) -> UpsertCounts:
    """Make these rows of the contract be what is stored, their games and players too, in the caller's transaction.

    Rows have distinct keys. A game of which the same rows were taken last is left alone; a game that nobody has stored
    is copied as it is; of the others each row is compared, and one that is changed keeps what it was as a revision.
    What is stored in columns that are `untold` stays. A pitcher is known by the names on his rows, a batter by id
    alone until he pitches.
    """
    labelled = rows.select(*NAMES, pl.lit(simulated).alias(SIMULATED), _extra_of(rows))
    digests = _digests(labelled, untold)
    changed = await _not_as_taken(connection, digests)
    news = labelled.join(changed, on="game_pk", how="semi", maintain_order="left")
    if news.is_empty():
        return UpsertCounts(stored=0, unchanged=rows.height)
    games = news.select(OF_GAMES).unique("game_pk", keep="first", maintain_order=True).join(changed, on="game_pk")
    if await _all_new(connection, games):
        await _stage(connection, news.select(OF_PLAYERS).unique())
        await _meet_players(connection)
        await copy_in(connection, "pitches", news)
        return UpsertCounts(stored=news.height, unchanged=rows.height - news.height)
    await connection.execute(text(GAMES))
    await _stage(connection, news)
    await _meet_players(connection)
    await connection.execute(text(revise(untold)))
    stored = (await connection.execute(text(merge(untold)))).rowcount
    return UpsertCounts(stored=stored, unchanged=rows.height - stored)


def _extra_of(rows: pl.DataFrame) -> pl.Expr:
    return pl.col(EXTRA) if EXTRA in rows.columns else pl.lit(None, dtype=pl.String).alias(EXTRA)


def _digests(rows: pl.DataFrame, untold: Sequence[str]) -> pl.DataFrame:
    """Give the SHA-256 of the rows of each game, in the order of play, and of what they do not tell."""
    ordered = rows.sort("game_pk", "at_bat_number", "pitch_number")
    found = [(game[0], _sha256(each, untold)) for game, each in ordered.group_by("game_pk", maintain_order=True)]
    return pl.DataFrame(found, schema={"game_pk": pl.Int32, DIGEST: pl.String}, orient="row")


def _sha256(rows: pl.DataFrame, untold: Sequence[str]) -> str:
    buffer = io.BytesIO()
    buffer.write(" ".join(untold).encode())
    rows.write_csv(buffer, include_header=False)
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


async def _not_as_taken(connection: AsyncConnection, digests: pl.DataFrame) -> pl.DataFrame:
    known = {
        (row.game_pk, row.rows_sha256)
        for row in await connection.execute(text(DIGESTS), {"games": digests["game_pk"].to_list()})
    }
    return digests.filter(pl.Series([row not in known for row in digests.iter_rows()], dtype=pl.Boolean))


async def _all_new(connection: AsyncConnection, games: pl.DataFrame) -> bool:
    """Insert games; tell whether none was there, so that no pitch of theirs can have been either.

    Whoever else brings one of these games waits until this transaction ends.
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


async def _meet_players(connection: AsyncConnection) -> None:
    await connection.execute(text(PLAYERS))
    await connection.execute(text(SPELLINGS))
