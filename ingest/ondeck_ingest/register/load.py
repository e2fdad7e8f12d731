"""Registers into the store, in the order in which one needs the other, all or nothing."""

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.register_formats import read_register
from ondeck_store.players.register_merge import RegisterCounts, take_register
from ondeck_store.players.unresolved import keys_of_chadwick, try_again

ASK_AGAIN_AFTER: Final = timedelta(days=1)


async def take(connection: AsyncConnection, tables: dict[str, pl.DataFrame]) -> dict[str, RegisterCounts]:
    """Take registers by kind; whoever is still known by id alone is asked for again a day later."""
    taken = {}
    for kind, cells in tables.items():
        register = read_register(cells, await keys_of_chadwick(connection))
        taken[kind] = await take_register(connection, register)
    await try_again(connection, datetime.now(UTC) + ASK_AGAIN_AFTER)
    return taken
