"""SQL of the sums of stored pitches per player, role, team and season, kept in the transaction that stores pitches.

The view `player_pitches` defines what is summed: the sums change by the difference of its rows after and before. A sum
that loses all pitches of a day is summed anew, as that may have been its first or last day.

Both groups of statements take the same `games`: the first locks them and keeps what their pitches add to the sums,
before the pitches or the games change; the second brings the sums in line with the stored pitches.
"""

from typing import Final

_FORMER: Final = "former_player_days"
_CHANGED: Final = "changed_player_days"
_KEY: Final = "player_id, season, role, team, league, game_type"
SUMS: Final = f"""
SELECT {_KEY}, count(*) AS pitches, min(game_date) AS first_day, max(game_date) AS last_day FROM player_pitches
"""  # noqa: S608  constant names
GROUPED: Final = f"GROUP BY {_KEY}"

_DAYS: Final = f"""
SELECT of_game.* FROM games AS g, LATERAL (
    SELECT {_KEY}, game_date, count(*) AS pitches FROM player_pitches AS p
    WHERE p.game_pk = g.game_pk AND p.season = g.season {GROUPED}, game_date
) AS of_game WHERE g.game_pk = ANY (:games)
"""  # noqa: S608  constant names; a loop over the games, so that a wrong estimate does not lead to a scan of all pitches

_DROP: Final = f"DROP TABLE IF EXISTS {_FORMER}, {_CHANGED}"
_LOCK_GAMES: Final = "SELECT FROM games WHERE game_pk = ANY (:games) ORDER BY game_pk FOR NO KEY UPDATE"
_KEEP_FORMER: Final = f"CREATE TEMPORARY TABLE {_FORMER} ON COMMIT DROP AS {_DAYS}"
_FIND_CHANGED: Final = f"""
CREATE TEMPORARY TABLE {_CHANGED} ON COMMIT DROP AS
SELECT {_KEY}, game_date, sum(pitches) AS pitches, sum(greatest(pitches, 0)) AS remaining
FROM ({_DAYS} UNION ALL SELECT {_KEY}, game_date, -pitches FROM {_FORMER}) AS days
{GROUPED}, game_date HAVING sum(pitches) <> 0
"""  # noqa: S608  constant names

_CHANGES: Final = f"""
SELECT {_KEY}, sum(pitches) AS pitches, min(game_date) AS first_day, max(game_date) AS last_day
FROM {_CHANGED} {GROUPED} HAVING min(remaining) > 0
"""  # noqa: S608  constant names
_ADD: Final = f"""
INSERT INTO player_seasons AS known ({_KEY}, pitches, first_day, last_day)
{_CHANGES} AND sum(pitches) > 0 ORDER BY {_KEY}
ON CONFLICT ({_KEY}) DO UPDATE SET
    pitches = known.pitches + excluded.pitches,
    first_day = least(known.first_day, excluded.first_day),
    last_day = greatest(known.last_day, excluded.last_day)
"""
_SUBTRACT: Final = f"""
UPDATE player_seasons AS known SET
    pitches = known.pitches + changed.pitches,
    first_day = least(known.first_day, changed.first_day),
    last_day = greatest(known.last_day, changed.last_day)
FROM ({_CHANGES} AND sum(pitches) <= 0) AS changed
WHERE ({", ".join(f"known.{name}" for name in _KEY.split(", "))})
    = ({", ".join(f"changed.{name}" for name in _KEY.split(", "))})
"""  # noqa: S608  constant names

_LOSERS: Final = f"SELECT {_KEY} FROM {_CHANGED} {GROUPED} HAVING min(remaining) = 0"  # noqa: S608  constant names
_DELETE: Final = f"DELETE FROM player_seasons WHERE ({_KEY}) IN ({_LOSERS})"  # noqa: S608  constant names
_SUM_ANEW: Final = f"""
INSERT INTO player_seasons ({_KEY}, pitches, first_day, last_day)
SELECT sums.* FROM ({_LOSERS}) AS k, LATERAL (
    {SUMS} AS p
    WHERE k.player_id IN (p.batter, p.pitcher) AND p.season = k.season
        AND ({", ".join(f"p.{name}" for name in _KEY.split(", "))}) = (k.*)
    {GROUPED}
) AS sums
"""  # noqa: S608  constant names; the first condition is for the indexes of batter and pitcher


KEEP_FORMER_DAYS: Final = (_DROP, _LOCK_GAMES, _KEEP_FORMER)
UPDATE_PLAYER_SEASONS: Final = (_FIND_CHANGED, _ADD, _SUBTRACT, _DELETE, _SUM_ANEW)
