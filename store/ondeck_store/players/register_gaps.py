"""Gaps of the player registers: players of pitches whom no register contains yet, and conflicts between sources."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.player_identity import player_conflicts, player_ids
from ondeck_store.tables.statcast import players

_UNRESOLVED: Final = (players.c.state == "unresolved") & ~players.c.simulated


@dataclass(frozen=True, kw_only=True)
class UnresolvedPlayer:
    """A player known by id only, or by id and Savant's spelling; `next_try` None is now."""

    player_id: int
    name: str | None
    next_try: datetime | None


@dataclass(frozen=True, kw_only=True)
class RegisterConflict:
    """A value of a source that contradicts the stored value; the stored value is kept."""

    player_id: int
    field: str
    stored_value: str
    source_value: str
    source: str
    seen_at: datetime


async def list_unresolved(connection: AsyncConnection, due_by: datetime | None = None) -> list[UnresolvedPlayer]:
    """List the players whom no register contains yet; with `due_by`, only those whose next try is due by then."""
    query = select(players.c.player_id, players.c.name, players.c.next_try).where(_UNRESOLVED)
    if due_by is not None:
        query = query.where(or_(players.c.next_try.is_(None), players.c.next_try <= due_by))
    return [
        UnresolvedPlayer(**row) for row in (await connection.execute(query.order_by(players.c.player_id))).mappings()
    ]


async def postpone_retries(connection: AsyncConnection, at: datetime) -> int:
    """Postpone the next try of all due unresolved players to `at`; returns their number."""
    due = _UNRESOLVED & or_(players.c.next_try.is_(None), players.c.next_try <= func.now())
    return (await connection.execute(update(players).where(due).values(next_try=at))).rowcount


async def list_conflicts(connection: AsyncConnection) -> list[RegisterConflict]:
    """List the conflicts between sources, the newest first."""
    query = select(player_conflicts).order_by(player_conflicts.c.seen_at.desc(), player_conflicts.c.player_id)
    return [RegisterConflict(**row) for row in (await connection.execute(query)).mappings()]


async def read_chadwick_ids(connection: AsyncConnection) -> dict[str, int]:
    """Return the MLBAM ids by the Chadwick register's own keys."""
    query = select(player_ids.c.id, player_ids.c.player_id).where(player_ids.c.system == "chadwick")
    return {row.id: row.player_id for row in await connection.execute(query)}
