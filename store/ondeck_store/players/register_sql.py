"""How what a register says becomes what is known, in SQL: staged by COPY, then compared and merged at once."""

from typing import Final

from ondeck_core.players.register_formats import PEOPLE, PLAYER_ID

_FIELDS: Final = tuple(name for name in PEOPLE if name != PLAYER_ID)
_LIST: Final = ", ".join(_FIELDS)
_AGREED_ON: Final = ("birth_year", "birth_month", "birth_day")

STAGES: Final = (
    "DROP TABLE IF EXISTS staged_people, staged_ids, staged_aliases",
    f"CREATE TEMPORARY TABLE staged_people ON COMMIT DROP AS SELECT {PLAYER_ID}, {_LIST} FROM players WITH NO DATA",  # noqa: S608  names of our own
    "CREATE TEMPORARY TABLE staged_ids ON COMMIT DROP AS SELECT player_id, system, id FROM player_ids WITH NO DATA",
    """
    CREATE TEMPORARY TABLE staged_aliases ON COMMIT DROP AS
    SELECT player_id, spelling, first_season, last_season, false AS mixed_up FROM player_aliases WITH NO DATA
    """,
)  # the tables of one register; they go with the transaction

NEW_PEOPLE: Final = """
INSERT INTO players (player_id) SELECT DISTINCT player_id FROM staged_people ORDER BY player_id ON CONFLICT DO NOTHING
"""

ADD_PEOPLE: Final = f"""
UPDATE players SET ({_LIST}, state, next_try, updated_at) = ROW (
    {", ".join(f"coalesce(s.{field}, players.{field})" for field in _FIELDS)}, 'known', NULL, now())
FROM staged_people AS s
WHERE players.player_id = s.player_id AND (
    players.state <> 'known' OR ({", ".join(f"players.{field}" for field in _FIELDS)})
    IS DISTINCT FROM ({", ".join(f"coalesce(s.{field}, players.{field})" for field in _FIELDS)}))
"""  # noqa: S608  names of our own

FILL_PEOPLE: Final = f"""
UPDATE players SET ({_LIST}, state, next_try, updated_at) = ROW (
    {", ".join(f"coalesce(players.{field}, s.{field})" for field in _FIELDS)}, 'known', NULL, now())
FROM staged_people AS s
WHERE players.player_id = s.player_id AND (
    players.state <> 'known' OR ({", ".join(f"players.{field}" for field in _FIELDS)})
    IS DISTINCT FROM ({", ".join(f"coalesce(players.{field}, s.{field})" for field in _FIELDS)}))
"""  # noqa: S608  names of our own

_BORN: Final = "concat_ws('-', {0}.birth_year, {0}.birth_month, {0}.birth_day)"

OTHER_PEOPLE: Final = f"""
INSERT INTO player_conflicts (player_id, what, ours, theirs, source)
SELECT p.player_id, 'born', {_BORN.format("p")}, {_BORN.format("s")}, :source
FROM staged_people AS s JOIN players AS p USING (player_id)
WHERE ({", ".join(f"p.{field}" for field in _AGREED_ON)}) <> ({", ".join(f"s.{field}" for field in _AGREED_ON)})
ON CONFLICT DO NOTHING
"""  # noqa: S608  names of our own

FOREIGN_IDS: Final = """
INSERT INTO player_conflicts (player_id, what, ours, theirs, source)
SELECT s.player_id, s.system, i.id || ' is of ' || i.player_id, s.id, :source
FROM staged_ids AS s JOIN player_ids AS i ON i.system = s.system AND i.id = s.id AND i.player_id <> s.player_id
ON CONFLICT DO NOTHING
"""

OTHER_IDS: Final = """
INSERT INTO player_conflicts (player_id, what, ours, theirs, source)
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
FROM staged_aliases WHERE NOT mixed_up
ORDER BY player_id, spelling, first_season
ON CONFLICT DO NOTHING
"""
