"""What is open about players: men whom no register describes yet, and what sources disagree on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_store.tables.pitches import players
from ondeck_store.tables.players import player_conflicts, player_ids

_UNRESOLVED: Final = (players.c.state == "unresolved") & ~players.c.simulated


@dataclass(frozen=True, kw_only=True)
class UnresolvedPlayer:
    """A man known by id alone, or by id and Savant's spelling; `next_try` None: at once."""

    player_id: int
    name: str | None
    next_try: datetime | None


@dataclass(frozen=True, kw_only=True)
class RegisterConflict:
    """Something that a source says otherwise than is known here; what is known here has stayed."""

    player_id: int
    field: str
    stored_value: str
    source_value: str
    source: str
    seen_at: datetime


async def unresolved(connection: AsyncConnection, due_by: datetime | None = None) -> list[UnresolvedPlayer]:
    """List the men whom no register describes yet; with `due_by`, those alone who are to be asked for by then."""
    query = select(players.c.player_id, players.c.name, players.c.next_try).where(_UNRESOLVED)
    if due_by is not None:
        query = query.where(or_(players.c.next_try.is_(None), players.c.next_try <= due_by))
    return [
        UnresolvedPlayer(**row) for row in (await connection.execute(query.order_by(players.c.player_id))).mappings()
    ]


async def try_again(connection: AsyncConnection, at: datetime) -> int:
    """Put off everyone who is still unresolved, and due, until `at`; tells how many there are."""
    due = _UNRESOLVED & or_(players.c.next_try.is_(None), players.c.next_try <= func.now())
    return (await connection.execute(update(players).where(due).values(next_try=at))).rowcount


async def conflicts(connection: AsyncConnection) -> list[RegisterConflict]:
    """List what sources disagree on, the newest first."""
    query = select(player_conflicts).order_by(player_conflicts.c.seen_at.desc(), player_conflicts.c.player_id)
    return [RegisterConflict(**row) for row in (await connection.execute(query)).mappings()]


async def keys_of_chadwick(connection: AsyncConnection) -> dict[str, int]:
    """Give MLBAM ids by the keys that the Chadwick register uses within itself."""
    query = select(player_ids.c.id, player_ids.c.player_id).where(player_ids.c.system == "chadwick")
    return {row.id: row.player_id for row in await connection.execute(query)}
