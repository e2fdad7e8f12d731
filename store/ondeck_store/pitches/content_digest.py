"""Digest of the stored content: equal for equal rows, independent of the order and number of imports."""

from typing import Final

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.ingest import quarantine
from ondeck_store.tables.player_identity import player_aliases, player_ids
from ondeck_store.tables.statcast import games, pitches, players

_EXCLUDED_COLUMNS: Final = {
    "players": {"next_try", "updated_at"},
    "games": {"rows_sha256", "downloaded_after", "downloaded_before"},
    "pitches": {"stored_at"},
    "player_ids": {"source", "since"},
    "quarantine": {"id", "at", "closed_at"},
}
_TABLES: Final = (players, player_ids, player_aliases, games, pitches, quarantine)


async def content_digest(connection: AsyncConnection) -> dict[str, str]:
    """Return for each table its row count and a 128-bit digest; timestamps and serial numbers are excluded."""
    return {table.name: " ".join(map(str, (await connection.execute(text(_query(table)))).one())) for table in _TABLES}


def _query(table: Table) -> str:
    """Return the query that sums two hashes of each row, which makes the digest independent of the row order."""
    names = [column.name for column in table.columns if column.name not in _EXCLUDED_COLUMNS.get(table.name, set())]
    row = f"ROW ({', '.join(names)})::text"
    sums = (
        f"to_hex(mod(sum(hashtextextended({row}, {seed})::numeric + 2 ^ 63::numeric), 2 ^ 63::numeric)::bigint)"
        for seed in (1, 2)
    )
    return f"SELECT count(*), {', '.join(sums)} FROM {table.name}"  # noqa: S608  constant names
