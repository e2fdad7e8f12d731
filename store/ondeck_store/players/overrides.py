"""Player overrides: an append-only log that assigns spellings and ids to players; the newest entry applies."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError
from ondeck_store.tables.player_identity import player_overrides
from ondeck_store.tables.statcast import players

NAME: Final = "name"


@dataclass(frozen=True, kw_only=True)
class Override:
    """Assignment of a spelling (`system` is "name") or of an id to a player; `is_active` False revokes it."""

    created_by: str
    reason: str
    player_id: int
    system: str
    value: str
    is_active: bool = True


@dataclass(frozen=True, kw_only=True)
class RecordedOverride(Override):
    """An override with its number and time in the log."""

    number: int
    created_at: datetime


async def record_override(connection: AsyncConnection, override: Override) -> None:
    """Append an override.

    Raises:
        NotFoundError: the player does not exist.
    """
    known = await connection.execute(select(players.c.player_id).where(players.c.player_id == override.player_id))
    if known.first() is None:
        raise NotFoundError("player", str(override.player_id))
    await connection.execute(insert(player_overrides).values(asdict(override)))


async def list_overrides(connection: AsyncConnection) -> list[RecordedOverride]:
    """List all overrides, the newest first."""
    found = await connection.execute(select(player_overrides).order_by(player_overrides.c.number.desc()))
    return [RecordedOverride(**row) for row in found.mappings()]
