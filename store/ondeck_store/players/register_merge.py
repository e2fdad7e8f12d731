"""What registers say, stored: gaps are filled, late ids too; where two sources disagree, ours stays and it is told."""

from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.alias_conflicts import MIXED_UP, with_mixups
from ondeck_core.players.register_formats import CHADWICK, CHADWICK_NAMES, IDS, PEOPLE, PLAYER_ID, RegisterFile
from ondeck_store.copy import copy_in
from ondeck_store.players.register_sql import (
    ADD_ALIASES,
    ADD_IDS,
    ADD_PEOPLE,
    FILL_PEOPLE,
    FOREIGN_IDS,
    NEW_PEOPLE,
    OTHER_IDS,
    OTHER_PEOPLE,
    STAGES,
)

_NAMES: Final = "SELECT player_id, concat_ws(' ', name_first, name_last) FROM players WHERE name_last IS NOT NULL"


@dataclass(frozen=True, kw_only=True)
class RegisterCounts:
    """What became of a register: men who are new or changed, ids and spellings added, disagreements that are new."""

    people: int
    new: int
    changed: int
    ids: int
    aliases: int
    conflicts: int

    def __str__(self) -> str:
        return (
            f"{self.people} people, {self.new} new, {self.changed} changed, "
            f"{self.ids} ids and {self.aliases} spellings added, {self.conflicts} new conflicts"
        )


async def take_register(connection: AsyncConnection, register: RegisterFile) -> RegisterCounts:
    """Make what a register says part of what is known, in the caller's transaction.

    The Chadwick register describes people, and knows under which other names they have played; the others fill what
    it leaves open. An id or a date on which a source contradicts what is known is not taken but recorded as a
    conflict; so is a spelling from others that is another man's name.
    """
    for statement in STAGES:
        await connection.execute(text(statement))
    await copy_in(connection, "staged_people", register.people.select(*PEOPLE))
    await copy_in(connection, "staged_ids", register.ids.select(*IDS))
    new = await _run(connection, NEW_PEOPLE, register)
    described = ADD_PEOPLE if register.source == CHADWICK else FILL_PEOPLE
    conflicts = 0
    if register.source != CHADWICK:
        conflicts += await _run(connection, OTHER_PEOPLE, register)
    changed = await _run(connection, described, register)
    ids = await _run(connection, ADD_IDS, register)
    conflicts += await _run(connection, FOREIGN_IDS, register) + await _run(connection, OTHER_IDS, register)
    aliases, mixed_up = await _add_aliases(connection, register)
    return RegisterCounts(
        people=register.people.height,
        new=new,
        changed=changed - new,
        ids=ids,
        aliases=aliases,
        conflicts=conflicts + mixed_up,
    )


async def _add_aliases(connection: AsyncConnection, register: RegisterFile) -> tuple[int, int]:
    if register.aliases.is_empty():
        return 0, 0
    names = {int(row[0]): str(row[1]) for row in await connection.execute(text(_NAMES))}
    known = register.aliases.filter(pl.col(PLAYER_ID).is_in(list(names)))
    trusted = register.source in {CHADWICK, CHADWICK_NAMES}
    marked = known.with_columns(pl.lit(value=False).alias(MIXED_UP)) if trusted else with_mixups(known, names)
    await copy_in(connection, "staged_aliases", marked)
    mixed_up = await connection.execute(
        text(f"""
        INSERT INTO player_conflicts (player_id, what, ours, theirs, source)
        SELECT a.player_id, 'name', concat_ws(' ', p.name_first, p.name_last), a.spelling, :source
        FROM staged_aliases AS a JOIN players AS p USING (player_id) WHERE a.{MIXED_UP}
        ON CONFLICT DO NOTHING
        """),  # noqa: S608  a name of our own
        {"source": register.source},
    )
    return await _run(connection, ADD_ALIASES, register), mixed_up.rowcount


async def _run(connection: AsyncConnection, statement: str, register: RegisterFile) -> int:
    bound = text(statement)
    given = {"source": register.source} if ":source" in statement else {}
    return (await connection.execute(bound, given)).rowcount
