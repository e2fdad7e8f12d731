"""SQL of the pitch upsert: rows are staged by COPY, then compared and merged in one statement."""

from collections.abc import Sequence
from typing import Final

from ondeck_core.statcast.parse import EXTRA
from ondeck_core.statcast.row_checks import UNREADABLE_CELLS
from ondeck_core.statcast.schema import KEY, NAMES

STAGED: Final = "staged_pitches"
GAME_COLUMNS: Final = ("game_pk", "game_year", "game_date", "game_type", "home_team", "away_team", "simulated")
PLAYER_COLUMNS: Final = ("pitcher", "player_name", "batter", "game_year", "simulated")

_KEY: Final = (*KEY, "game_year")
_COLUMNS: Final = (*NAMES, EXTRA, UNREADABLE_CELLS)
_VALUE_COLUMNS: Final = tuple(name for name in _COLUMNS if name not in _KEY)
_SAME_KEY: Final = " AND ".join(f"s.{name} = pitches.{name}" for name in _KEY)
_KEPT_IF_NULL: Final = {"player_name"}  # a null does not overwrite a stored value


def _new_value(name: str, row: str) -> str:
    return f"coalesce({row}.{name}, pitches.{name})" if name in _KEPT_IF_NULL else f"{row}.{name}"


def _present(absent: Sequence[str]) -> list[str]:
    return [name for name in _VALUE_COLUMNS if name not in absent]


def _old_values(names: Sequence[str]) -> str:
    return ", ".join(f"pitches.{name}" for name in names)


def _new_values(names: Sequence[str], row: str) -> str:
    return ", ".join(_new_value(name, row) for name in names)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


STAGE: Final = f"CREATE TEMPORARY TABLE {STAGED} ON COMMIT DROP AS SELECT * FROM pitches WITH NO DATA"  # noqa: S608  constant names

NEW_STAGE: Final = f"""
CREATE TEMPORARY TABLE {STAGED}_games ON COMMIT DROP AS
SELECT game_pk, season AS game_year, game_date, game_type, home_team, away_team, simulated, league,
    downloaded_after, downloaded_before, rows_sha256
FROM games WITH NO DATA
"""  # noqa: S608  constant names

_DOWNLOADED: Final = "downloaded_after, downloaded_before"

DIGESTS: Final = "SELECT game_pk, rows_sha256 FROM games WHERE game_pk = ANY (:games)"

_INSERT_GAMES: Final = f"""
INSERT INTO games AS known (
    game_pk, season, game_date, game_type, home_team, away_team, simulated, league, {_DOWNLOADED}, rows_sha256
)
SELECT game_pk, game_year, game_date, game_type, home_team, away_team, simulated, league, {_DOWNLOADED}, rows_sha256
FROM {STAGED}_games ORDER BY game_pk
"""  # noqa: S608  constant names

NEW_GAMES: Final = f"{_INSERT_GAMES} ON CONFLICT DO NOTHING"

GAMES: Final = f"""
{_INSERT_GAMES}
ON CONFLICT (game_pk) DO UPDATE SET
    season = excluded.season, game_date = excluded.game_date, game_type = excluded.game_type,
    home_team = excluded.home_team, away_team = excluded.away_team, league = excluded.league,
    downloaded_after = greatest(known.downloaded_after, excluded.downloaded_after),
    downloaded_before = greatest(known.downloaded_before, excluded.downloaded_before),
    rows_sha256 = excluded.rows_sha256
"""

LOCKED_GAMES: Final = f"""
SELECT game_pk, {_DOWNLOADED} FROM games WHERE game_pk = ANY (:games) ORDER BY game_pk FOR NO KEY UPDATE
"""  # noqa: S608  constant names

CONFIRM_GAMES: Final = """
UPDATE games SET
    downloaded_after = greatest(downloaded_after, :after), downloaded_before = greatest(downloaded_before, :before)
WHERE game_pk = ANY (:games)
    AND (coalesce(downloaded_after < :after, true) OR coalesce(downloaded_before < :before, true))
"""

REMOVE_OLDER_GAMES: Final = f"DELETE FROM {STAGED}_games WHERE game_pk = ANY (:older)"  # noqa: S608  constant names

REMOVE_OLDER_ROWS: Final = f"""
DELETE FROM {STAGED} AS s USING pitches WHERE s.game_pk = ANY (:older) AND {_SAME_KEY}
"""  # noqa: S608  constant names

PLAYERS: Final = f"""
INSERT INTO players (player_id, name, simulated)
SELECT player_id, max(name), bool_or(simulated)
FROM (
    SELECT pitcher AS player_id, player_name AS name, simulated FROM {STAGED}
    UNION
    SELECT batter, NULL, simulated FROM {STAGED}
) AS appearances
GROUP BY player_id ORDER BY player_id
ON CONFLICT (player_id) DO UPDATE SET name = excluded.name
WHERE excluded.name IS NOT NULL AND (players.name IS NULL OR players.name < excluded.name)
"""  # noqa: S608  constant names; the greater of two spellings, so that the import order does not matter

SPELLINGS: Final = f"""
INSERT INTO player_aliases AS known (player_id, spelling, source, first_season, last_season)
SELECT pitcher, player_name, 'savant', min(game_year), max(game_year)
FROM {STAGED} WHERE player_name IS NOT NULL AND NOT simulated
GROUP BY pitcher, player_name ORDER BY pitcher, player_name
ON CONFLICT (player_id, spelling, source) DO UPDATE SET
    first_season = least(known.first_season, excluded.first_season),
    last_season = greatest(known.last_season, excluded.last_season)
WHERE excluded.first_season < known.first_season OR excluded.last_season > known.last_season
"""  # noqa: S608  constant names


def count_changes(absent: Sequence[str]) -> str:
    """Return the query that counts the stored pitches of some games that the staged ones would change, by game."""
    present = _present(absent)
    return f"""
SELECT game_pk, count(*) AS rows FROM pitches JOIN {STAGED} AS s USING ({", ".join(_KEY)})
WHERE game_pk = ANY (:games) AND ({_old_values(present)}) IS DISTINCT FROM ({_new_values(present, "s")})
GROUP BY game_pk
"""  # noqa: S608  constant names


def revise(absent: Sequence[str]) -> str:
    """Return the statement that stores the former values of changed pitches; `absent` columns do not change.

    The revision time is the start of the statement, after the games are locked, so that revisions of concurrent
    transactions are in order.
    """
    present = _present(absent)
    return f"""
INSERT INTO pitch_revisions (game_pk, at_bat_number, pitch_number, changed_at, load, former)
SELECT
    pitches.game_pk, pitches.at_bat_number, pitches.pitch_number, statement_timestamp(), CAST (:load AS bigint),
    changed.former
FROM pitches JOIN {STAGED} AS s USING ({", ".join(_KEY)}), LATERAL (
    SELECT jsonb_object_agg(was.key, was.value) AS former
    FROM jsonb_each(to_jsonb(pitches)) AS was
    JOIN jsonb_each(to_jsonb(s)) AS is_now USING (key)
    WHERE was.value IS DISTINCT FROM is_now.value AND was.key IN ({_quoted(present)})
        AND NOT (was.key IN ({_quoted(sorted(_KEPT_IF_NULL))}) AND is_now.value = 'null')
) AS changed
WHERE ({_old_values(present)}) IS DISTINCT FROM ({_new_values(present, "s")})
ON CONFLICT (game_pk, at_bat_number, pitch_number, changed_at) DO UPDATE SET
    former = excluded.former || pitch_revisions.former
"""  # noqa: S608  constant names


def merge(absent: Sequence[str]) -> str:
    """Return the statement that upserts the staged pitches; `absent` columns keep their stored values."""
    present = _present(absent)
    return f"""
INSERT INTO pitches ({", ".join(_COLUMNS)}, simulated)
SELECT {", ".join(_COLUMNS)}, simulated FROM {STAGED}
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET ({", ".join(present)}) = ROW ({_new_values(present, "excluded")})
WHERE ({_old_values(present)}) IS DISTINCT FROM ({_new_values(present, "excluded")})
"""  # noqa: S608  constant names
