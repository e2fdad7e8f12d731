"""A digest of what is stored: the same for the same rows, in whatever order and however often they came."""

from typing import Final

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.ingest import quarantine
from ondeck_store.tables.pitches import games, pitches, players
from ondeck_store.tables.players import player_aliases, player_ids

_TOLD_OTHERWISE: Final = {
    "players": {"next_try", "updated_at"},
    "games": {"rows_sha256"},
    "pitches": {"stored_at"},
    "player_ids": {"source", "since"},
    "quarantine": {"id", "at", "closed_at"},
}
_TABLES: Final = (players, player_ids, player_aliases, games, pitches, quarantine)


async def content_digest(connection: AsyncConnection) -> dict[str, str]:
    """Give for each table its number of rows and a digest of 128 bits; times and running numbers are no content."""
    return {table.name: " ".join(map(str, (await connection.execute(text(_query(table)))).one())) for table in _TABLES}


def _query(table: Table) -> str:
    """Add up two hashes a row, so that the order of rows does not count and none can hide behind another."""
    names = [column.name for column in table.columns if column.name not in _TOLD_OTHERWISE.get(table.name, set())]
    row = f"ROW ({', '.join(names)})::text"
    sums = (
        f"to_hex(mod(sum(hashtextextended({row}, {seed})::numeric + 2 ^ 63::numeric), 2 ^ 63::numeric)::bigint)"
        for seed in (1, 2)
    )
    return f"SELECT count(*), {', '.join(sums)} FROM {table.name}"  # noqa: S608  names of our own
