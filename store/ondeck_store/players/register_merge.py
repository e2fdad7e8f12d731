"""Merge of player registers: missing values are filled; a contradicting value is recorded as a conflict."""

from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.register_formats import (
    CHADWICK,
    CHADWICK_NAMES,
    IDS,
    MISASSIGNED,
    PEOPLE,
    PLAYER_ID,
    RegisterFile,
    mark_misassigned,
)
from ondeck_store.database import copy_in

_FIELDS: Final = tuple(name for name in PEOPLE if name != PLAYER_ID)
_FIELDS_SQL: Final = ", ".join(_FIELDS)
_BIRTH_FIELDS: Final = ("birth_year", "birth_month", "birth_day")
_NAMES: Final = "SELECT player_id, concat_ws(' ', name_first, name_last) FROM players WHERE name_last IS NOT NULL"

STAGES: Final = (
    "DROP TABLE IF EXISTS staged_people, staged_ids, staged_aliases",
    f"CREATE TEMPORARY TABLE staged_people ON COMMIT DROP AS SELECT player_id, {_FIELDS_SQL} FROM players WITH NO DATA",  # noqa: S608  constant names
    "CREATE TEMPORARY TABLE staged_ids ON COMMIT DROP AS SELECT player_id, system, id FROM player_ids WITH NO DATA",
    """
    CREATE TEMPORARY TABLE staged_aliases ON COMMIT DROP AS
    SELECT player_id, spelling, first_season, last_season, false AS misassigned FROM player_aliases WITH NO DATA
    """,
)  # staging tables, dropped at the end of the transaction

NEW_PEOPLE: Final = """
INSERT INTO players (player_id) SELECT DISTINCT player_id FROM staged_people ORDER BY player_id ON CONFLICT DO NOTHING
"""

ADD_PEOPLE: Final = f"""
UPDATE players SET ({_FIELDS_SQL}, state, next_try, updated_at) = ROW (
    {", ".join(f"coalesce(s.{field}, players.{field})" for field in _FIELDS)}, 'known', NULL, now())
FROM staged_people AS s
WHERE players.player_id = s.player_id AND (
    players.state <> 'known' OR ({", ".join(f"players.{field}" for field in _FIELDS)})
    IS DISTINCT FROM ({", ".join(f"coalesce(s.{field}, players.{field})" for field in _FIELDS)}))
"""  # noqa: S608  constant names

FILL_PEOPLE: Final = f"""
UPDATE players SET ({_FIELDS_SQL}, state, next_try, updated_at) = ROW (
    {", ".join(f"coalesce(players.{field}, s.{field})" for field in _FIELDS)}, 'known', NULL, now())
FROM staged_people AS s
WHERE players.player_id = s.player_id AND (
    players.state <> 'known' OR ({", ".join(f"players.{field}" for field in _FIELDS)})
    IS DISTINCT FROM ({", ".join(f"coalesce(players.{field}, s.{field})" for field in _FIELDS)}))
"""  # noqa: S608  constant names

_BORN: Final = "concat_ws('-', {0}.birth_year, {0}.birth_month, {0}.birth_day)"

OTHER_PEOPLE: Final = f"""
INSERT INTO player_conflicts (player_id, field, stored_value, source_value, source)
SELECT p.player_id, 'born', {_BORN.format("p")}, {_BORN.format("s")}, :source
FROM staged_people AS s JOIN players AS p USING (player_id)
WHERE ({", ".join(f"p.{field}" for field in _BIRTH_FIELDS)}) <> ({", ".join(f"s.{field}" for field in _BIRTH_FIELDS)})
ON CONFLICT DO NOTHING
"""  # noqa: S608  constant names

FOREIGN_IDS: Final = """
INSERT INTO player_conflicts (player_id, field, stored_value, source_value, source)
SELECT s.player_id, s.system, i.id || ' is of ' || i.player_id, s.id, :source
FROM staged_ids AS s JOIN player_ids AS i ON i.system = s.system AND i.id = s.id AND i.player_id <> s.player_id
ON CONFLICT DO NOTHING
"""

OTHER_IDS: Final = """
INSERT INTO player_conflicts (player_id, field, stored_value, source_value, source)
SELECT DISTINCT ON (s.player_id, s.system, s.id) s.player_id, s.system, i.id, s.id, :source
FROM staged_ids AS s
JOIN player_ids AS i ON i.system = s.system AND i.player_id = s.player_id AND i.source <> :source
WHERE NOT EXISTS (SELECT 1 FROM player_ids AS o WHERE o.system = s.system AND o.id = s.id)
ORDER BY s.player_id, s.system, s.id, i.id
ON CONFLICT DO NOTHING
"""

ADD_IDS: Final = """
INSERT INTO player_ids (system, id, player_id, source)
SELECT DISTINCT ON (s.system, s.id) s.system, s.id, s.player_id, :source
FROM staged_ids AS s JOIN players AS p USING (player_id)
WHERE NOT EXISTS (
    SELECT 1 FROM player_ids AS i WHERE i.system = s.system AND i.player_id = s.player_id AND i.source <> :source)
ORDER BY s.system, s.id, s.player_id
ON CONFLICT DO NOTHING
"""

ADD_ALIASES: Final = """
INSERT INTO player_aliases (player_id, spelling, source, first_season, last_season)
SELECT DISTINCT ON (player_id, spelling) player_id, spelling, :source, first_season, last_season
FROM staged_aliases WHERE NOT misassigned
ORDER BY player_id, spelling, first_season
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, kw_only=True)
class RegisterCounts:
    """Counts of a merge: people in the register, new and changed players, added ids and spellings, new conflicts."""

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


async def merge_register(connection: AsyncConnection, register: RegisterFile) -> RegisterCounts:
    """Merge a register into the stored players, in the caller's transaction.

    Chadwick's values and alternative names take precedence; other registers fill missing values. An id or a date of
    birth that contradicts a stored value is recorded as a conflict, as is another register's spelling that is the name
    of another player.
    """
    for statement in STAGES:
        await connection.execute(text(statement))
    await copy_in(connection, "staged_people", register.people.select(*PEOPLE))
    await copy_in(connection, "staged_ids", register.ids.select(*IDS))
    new = await _run(connection, NEW_PEOPLE, register)
    update_people = ADD_PEOPLE if register.source == CHADWICK else FILL_PEOPLE
    conflicts = 0
    if register.source != CHADWICK:
        conflicts += await _run(connection, OTHER_PEOPLE, register)
    changed = await _run(connection, update_people, register)
    ids = await _run(connection, ADD_IDS, register)
    conflicts += await _run(connection, FOREIGN_IDS, register) + await _run(connection, OTHER_IDS, register)
    aliases, misassigned = await _add_aliases(connection, register)
    return RegisterCounts(
        people=register.people.height,
        new=new,
        changed=changed - new,
        ids=ids,
        aliases=aliases,
        conflicts=conflicts + misassigned,
    )


async def _add_aliases(connection: AsyncConnection, register: RegisterFile) -> tuple[int, int]:
    if register.aliases.is_empty():
        return 0, 0
    names = {int(row[0]): str(row[1]) for row in await connection.execute(text(_NAMES))}
    known = register.aliases.filter(pl.col(PLAYER_ID).is_in(list(names)))
    trusted = register.source in {CHADWICK, CHADWICK_NAMES}
    marked = known.with_columns(pl.lit(value=False).alias(MISASSIGNED)) if trusted else mark_misassigned(known, names)
    await copy_in(connection, "staged_aliases", marked)
    misassigned = await connection.execute(
        text(f"""
        INSERT INTO player_conflicts (player_id, field, stored_value, source_value, source)
        SELECT a.player_id, 'name', concat_ws(' ', p.name_first, p.name_last), a.spelling, :source
        FROM staged_aliases AS a JOIN players AS p USING (player_id) WHERE a.{MISASSIGNED}
        ON CONFLICT DO NOTHING
        """),  # noqa: S608  a constant name
        {"source": register.source},
    )
    return await _run(connection, ADD_ALIASES, register), misassigned.rowcount


async def _run(connection: AsyncConnection, statement: str, register: RegisterFile) -> int:
    bound = text(statement)
    given = {"source": register.source} if ":source" in statement else {}
    return (await connection.execute(bound, given)).rowcount
