"""Reverting the last load of a unit: its changed rows get their former values back, its new rows are removed.

A row that another load has changed since stays as it is. The revert is a load of its own, whose revisions keep the
values that it replaces, and the whole rows that it removes. The quarantine returns to its state before the load.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError
from ondeck_core.statcast.parse import EXTRA
from ondeck_core.statcast.row_checks import UNREADABLE_CELLS
from ondeck_core.statcast.schema import KEY, NAMES
from ondeck_store.pitches.player_seasons import KEEP_FORMER_DAYS, UPDATE_PLAYER_SEASONS
from ondeck_store.pitches.upsert import execute_for_games

_DIGEST_LENGTH: Final = 13  # a blank and twelve digits after the name of a file
_KEY: Final = ", ".join(KEY)
_VALUES: Final = ", ".join(name for name in (*NAMES, EXTRA, UNREADABLE_CELLS) if name not in {*KEY, "game_year"})
_OF_LOAD: Final = "game_date BETWEEN :first_day AND :last_day AND stored_at = :loaded_at"

_FIND: Final = text(f"""
SELECT number, source, unit, loaded_at, first_day, last_day FROM ingest_loads
WHERE (unit = :unit OR (source = 'file' AND left(unit, -{_DIGEST_LENGTH}) = :unit))
    AND reverts IS NULL AND reverted_by IS NULL
ORDER BY number DESC LIMIT 1
""")  # noqa: S608  a constant number
_LATEST: Final = text("""
SELECT unit FROM ingest_loads WHERE reverts IS NULL AND reverted_by IS NULL
GROUP BY unit ORDER BY max(number) DESC LIMIT 5
""")
_START: Final = text("""
WITH added AS (
    INSERT INTO ingest_loads (source, unit, first_day, last_day, reverts)
    SELECT source, unit, first_day, last_day, number FROM ingest_loads WHERE number = :number RETURNING number
)
UPDATE ingest_loads SET reverted_by = added.number FROM added WHERE ingest_loads.number = :number
RETURNING reverted_by
""")
_GAMES: Final = text(f"""
SELECT game_pk FROM games WHERE game_pk IN (
    SELECT game_pk FROM pitch_revisions WHERE load = :number
    UNION SELECT game_pk FROM pitches WHERE {_OF_LOAD}
) ORDER BY game_pk FOR NO KEY UPDATE
""")  # noqa: S608  constant names
_PITCH_KEY: Final = ", ".join(f"pitches.{name}" for name in KEY)
_SAME_KEY: Final = " AND ".join(f"r.{name} = pitches.{name}" for name in KEY)
_CHANGED_SINCE: Final = f"""
EXISTS (
    SELECT FROM pitch_revisions AS later LEFT JOIN ingest_loads AS by_load ON by_load.number = later.load
    WHERE {_SAME_KEY.replace("r.", "later.")}
        AND later.changed_at > :loaded_at AND later.load IS DISTINCT FROM :number
        AND by_load.reverts IS NULL AND by_load.reverted_by IS NULL
)
"""  # noqa: S608  constant names
_IS_CHOSEN: Final = f"r.load = :number AND {_SAME_KEY} AND NOT {_CHANGED_SINCE}"
_KEEP_CHANGED: Final = text(f"""
INSERT INTO pitch_revisions ({_KEY}, changed_at, load, former)
SELECT {_PITCH_KEY}, statement_timestamp(), CAST (:revert AS bigint), (
    SELECT jsonb_object_agg(was.key, to_jsonb(pitches) -> was.key) FROM jsonb_object_keys(r.former) AS was (key)
)
FROM pitch_revisions AS r, pitches WHERE {_IS_CHOSEN}
""")  # noqa: S608  constant names
_RESTORE: Final = text(f"""
UPDATE pitches SET ({_VALUES}) = (SELECT {_VALUES} FROM jsonb_populate_record(pitches, r.former))
FROM pitch_revisions AS r WHERE {_IS_CHOSEN}
""")  # noqa: S608  constant names
_KEEP_REMOVED: Final = text(f"""
INSERT INTO pitch_revisions ({_KEY}, changed_at, load, former)
SELECT {_KEY}, statement_timestamp(), CAST (:revert AS bigint), to_jsonb(pitches)
FROM pitches WHERE {_OF_LOAD} AND NOT {_CHANGED_SINCE}
""")  # noqa: S608  constant names
_REMOVE: Final = text(f"DELETE FROM pitches WHERE {_OF_LOAD} AND NOT {_CHANGED_SINCE}")  # noqa: S608  constant names
_COUNT: Final = text(f"""
SELECT
    (SELECT count(*) FROM pitch_revisions WHERE load = :number)
    + (SELECT count(*) FROM pitches WHERE {_OF_LOAD})
""")  # noqa: S608  constant names
_REMOVE_GAMES: Final = text("""
DELETE FROM games WHERE game_pk = ANY (:games)
    AND NOT EXISTS (SELECT FROM pitches WHERE pitches.game_pk = games.game_pk AND pitches.game_year = games.season)
""")
_FORGET_DOWNLOAD: Final = text("""
UPDATE games SET rows_sha256 = NULL, downloaded_after = least(downloaded_after, game_date)
WHERE game_pk = ANY (:games)
""")
_QUARANTINE: Final = (
    text("""
    UPDATE quarantine SET closed_at = now(), outcome = 'superseded', rule = NULL
    WHERE source = :source AND unit = :unit AND quarantined_at = :loaded_at
        AND outcome IS DISTINCT FROM 'dismissed' AND outcome IS DISTINCT FROM 'superseded'
    """),
    text("""
    UPDATE quarantine SET closed_at = NULL, outcome = NULL, rule = NULL
    WHERE closed_at = :loaded_at AND quarantined_at < :loaded_at AND outcome IN ('superseded', 'stored')
    """),
)
_LEDGER: Final = text("""
UPDATE ingest_ledger SET state = 'reverted', updated_at = clock_timestamp() WHERE source = :source AND unit = :unit
""")


@dataclass(frozen=True, kw_only=True)
class RevertCounts:
    """Rows of a reverted load: `restored` to former values, `removed`, `kept` as another load has changed them."""

    source: str
    unit: str
    restored: int
    removed: int
    kept: int


async def revert_unit(connection: AsyncConnection, unit: str) -> RevertCounts:
    """Revert the last load of a unit that stored rows and holds; a file is found by its name, too.

    Raises:
        NotFoundError: no load of the unit is left to revert.
    """
    load = (await connection.execute(_FIND, {"unit": unit})).mappings().first()
    if load is None:
        raise NotFoundError("load of unit", unit, list((await connection.execute(_LATEST)).scalars()))
    values = dict(load)
    games = list((await connection.execute(_GAMES, values)).scalars())
    total = (await connection.execute(_COUNT, values)).scalar_one()
    values["revert"] = (await connection.execute(_START, values)).scalar_one()
    await execute_for_games(connection, KEEP_FORMER_DAYS, games)
    await connection.execute(_KEEP_CHANGED, values)
    restored = (await connection.execute(_RESTORE, values)).rowcount
    await connection.execute(_KEEP_REMOVED, values)
    removed = (await connection.execute(_REMOVE, values)).rowcount
    await execute_for_games(connection, UPDATE_PLAYER_SEASONS, games)
    await connection.execute(_REMOVE_GAMES, {"games": games})
    await connection.execute(_FORGET_DOWNLOAD, {"games": games})
    for statement in (*_QUARANTINE, _LEDGER):
        await connection.execute(statement, values)
    return RevertCounts(
        source=values["source"],
        unit=values["unit"],
        restored=restored,
        removed=removed,
        kept=total - restored - removed,
    )
