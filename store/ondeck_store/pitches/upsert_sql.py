"""How rows become pitches, in SQL: staged by COPY, then compared and merged at once."""

from collections.abc import Sequence
from typing import Final

from ondeck_core.statcast.parse import EXTRA
from ondeck_core.statcast.schema import KEY, NAMES

STAGED: Final = "staged_pitches"
OF_GAMES: Final = ("game_pk", "game_year", "game_date", "game_type", "home_team", "away_team", "simulated")
OF_PLAYERS: Final = ("pitcher", "player_name", "batter", "game_year", "simulated")

_UNIQUE: Final = (*KEY, "game_year")
_WRITTEN: Final = (*NAMES, EXTRA)
_VALUES: Final = tuple(name for name in _WRITTEN if name not in _UNIQUE)
_KEPT_IF_NULL: Final = {"player_name"}  # an export that does not tell whose name it gives takes none away


def _new(name: str, row: str) -> str:
    return f"coalesce({row}.{name}, pitches.{name})" if name in _KEPT_IF_NULL else f"{row}.{name}"


def _told(untold: Sequence[str]) -> list[str]:
    return [name for name in _VALUES if name not in untold]


def _old_values(names: Sequence[str]) -> str:
    return ", ".join(f"pitches.{name}" for name in names)


def _new_values(names: Sequence[str], row: str) -> str:
    return ", ".join(_new(name, row) for name in names)


def _in(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


STAGE: Final = f"CREATE TEMPORARY TABLE {STAGED} ON COMMIT DROP AS SELECT * FROM pitches WITH NO DATA"  # noqa: S608  names of our own

NEW_STAGE: Final = f"""
CREATE TEMPORARY TABLE {STAGED}_games ON COMMIT DROP AS
SELECT game_pk, season AS game_year, game_date, game_type, home_team, away_team, simulated, rows_sha256
FROM games WITH NO DATA
"""  # noqa: S608  names of our own

DIGESTS: Final = "SELECT game_pk, rows_sha256 FROM games WHERE game_pk = ANY (:games)"

_INSERT_GAMES: Final = f"""
INSERT INTO games (game_pk, season, game_date, game_type, home_team, away_team, simulated, rows_sha256)
SELECT game_pk, game_year, game_date, game_type, home_team, away_team, simulated, rows_sha256
FROM {STAGED}_games ORDER BY game_pk
"""  # noqa: S608  names of our own

NEW_GAMES: Final = f"{_INSERT_GAMES} ON CONFLICT DO NOTHING"

GAMES: Final = f"""
{_INSERT_GAMES}
ON CONFLICT (game_pk) DO UPDATE SET
    season = excluded.season, game_date = excluded.game_date, game_type = excluded.game_type,
    home_team = excluded.home_team, away_team = excluded.away_team, rows_sha256 = excluded.rows_sha256
"""

PLAYERS: Final = f"""
INSERT INTO players (player_id, name, simulated)
SELECT player_id, max(name), bool_or(simulated)
FROM (
    SELECT pitcher AS player_id, player_name AS name, simulated FROM {STAGED}
    UNION
    SELECT batter, NULL, simulated FROM {STAGED}
) AS men
GROUP BY player_id ORDER BY player_id
ON CONFLICT (player_id) DO UPDATE SET name = excluded.name
WHERE excluded.name IS NOT NULL AND (players.name IS NULL OR players.name < excluded.name)
"""  # noqa: S608  names of our own; of two spellings the greater, so that it does not matter which came first

SPELLINGS: Final = f"""
INSERT INTO player_aliases AS known (player_id, spelling, source, first_season, last_season)
SELECT pitcher, player_name, 'savant', min(game_year), max(game_year)
FROM {STAGED} WHERE player_name IS NOT NULL AND NOT simulated
GROUP BY pitcher, player_name ORDER BY pitcher, player_name
ON CONFLICT (player_id, spelling, source) DO UPDATE SET
    first_season = least(known.first_season, excluded.first_season),
    last_season = greatest(known.last_season, excluded.last_season)
WHERE excluded.first_season < known.first_season OR excluded.last_season > known.last_season
"""  # noqa: S608  names of our own


def revise(untold: Sequence[str]) -> str:
    """Write the statement that keeps what pitches were before they change; columns that are untold do not.

    Its time is that of the statement, which began when the games were locked: of two transactions, the later one's is.
    """
    told = _told(untold)
    return f"""
INSERT INTO pitch_revisions (game_pk, at_bat_number, pitch_number, changed_at, former)
SELECT pitches.game_pk, pitches.at_bat_number, pitches.pitch_number, statement_timestamp(), changed.former
FROM pitches JOIN {STAGED} AS s USING ({", ".join(_UNIQUE)}), LATERAL (
    SELECT jsonb_object_agg(was.key, was.value) AS former
    FROM jsonb_each(to_jsonb(pitches)) AS was
    JOIN jsonb_each(to_jsonb(s)) AS is_now USING (key)
    WHERE was.value IS DISTINCT FROM is_now.value AND was.key IN ({_in(told)})
        AND NOT (was.key IN ({_in(sorted(_KEPT_IF_NULL))}) AND is_now.value = 'null')
) AS changed
WHERE ({_old_values(told)}) IS DISTINCT FROM ({_new_values(told, "s")})
ON CONFLICT (game_pk, at_bat_number, pitch_number, changed_at) DO UPDATE SET
    former = excluded.former || pitch_revisions.former
"""  # noqa: S608  names of our own


def merge(untold: Sequence[str]) -> str:
    """Write the statement that makes staged pitches be what is stored; what is stored in untold columns stays."""
    told = _told(untold)
    return f"""
INSERT INTO pitches ({", ".join(_WRITTEN)}, simulated)
SELECT {", ".join(_WRITTEN)}, simulated FROM {STAGED}
ON CONFLICT ({", ".join(_UNIQUE)}) DO UPDATE SET ({", ".join(told)}) = ROW ({_new_values(told, "excluded")})
WHERE ({_old_values(told)}) IS DISTINCT FROM ({_new_values(told, "excluded")})
"""  # noqa: S608  names of our own
