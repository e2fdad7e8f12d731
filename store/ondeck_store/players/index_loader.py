"""Loading of the player index from the database."""

from collections import defaultdict
from collections.abc import Callable
from typing import Final, TypeVar

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Born, Player, Role, TeamSeason
from ondeck_core.players.register_formats import ALIASES, IDS, PEOPLE, PLAYER_ID
from ondeck_store.database import copy_out
from ondeck_store.players.overrides import NAME

T = TypeVar("T")
_PLAYER_FIELDS: Final = {**PEOPLE, "name": pl.String}
_PLAYED_FIELDS: Final = {PLAYER_ID: pl.Int32, "role": pl.String, "season": pl.Int32, "team": pl.String}
_BORN_FIELDS: Final = {PLAYER_ID: pl.Int32, "born": pl.String}
_OVERRIDE_FIELDS: Final = {"system": pl.String, "value": pl.String, PLAYER_ID: pl.Int32}

_ALL_PLAYERS: Final = f"SELECT {', '.join(_PLAYER_FIELDS)} FROM players WHERE NOT simulated ORDER BY player_id"  # noqa: S608  constant names
_SPELLINGS: Final = f"SELECT {', '.join(ALIASES)} FROM player_aliases ORDER BY player_id, spelling"  # noqa: S608  constant names
_ALL_IDS: Final = f"SELECT {', '.join(IDS)} FROM player_ids"  # noqa: S608  constant names
_OVERRIDES: Final = """
SELECT system, value, player_id FROM (
    SELECT DISTINCT ON (system, value) * FROM player_overrides ORDER BY system, value, number DESC
) AS newest WHERE is_active
"""
_OTHER_BIRTH_DATES: Final = "SELECT player_id, source_value AS born FROM player_conflicts WHERE field = 'born'"
_PLAYED_SEASONS: Final = """
SELECT DISTINCT appearance.player_id, appearance.role, game_year, appearance.team
FROM pitches, LATERAL (VALUES
    (batter, 'batter', CASE inning_topbot WHEN 'Top' THEN away_team ELSE home_team END),
    (pitcher, 'pitcher', CASE inning_topbot WHEN 'Top' THEN home_team ELSE away_team END)
) AS appearance (player_id, role, team)
WHERE NOT simulated AND game_pk IN (SELECT game_pk FROM games WHERE league = 'major')
"""
_FINGERPRINT: Final = """
SELECT concat_ws(' ',
    (SELECT concat(count(*), ' ', max(updated_at)) FROM players WHERE NOT simulated),
    (SELECT count(*) FROM player_ids), (SELECT count(*) FROM player_aliases), (SELECT count(*) FROM player_conflicts),
    (SELECT max(number) FROM player_overrides), (SELECT max(updated_at) FROM ingest_ledger WHERE NOT simulated))
"""


async def fingerprint(connection: AsyncConnection) -> str:
    """Return a short text that changes when the content of the index changes."""
    return str((await connection.execute(text(_FINGERPRINT))).scalar_one())


async def read_index(connection: AsyncConnection) -> PlayerIndex:
    """Read the player index: players, ids, spellings, played seasons and overrides."""
    players = await copy_out(connection, _ALL_PLAYERS, (), _dtypes(_PLAYER_FIELDS))
    aliases = await copy_out(connection, _SPELLINGS, (), _dtypes(ALIASES))
    spellings = _group(aliases.select(PLAYER_ID, "spelling"), str)
    played = _group(await copy_out(connection, _PLAYED_SEASONS, (), _dtypes(_PLAYED_FIELDS)), _to_team_season)
    ids = {(s, i): p for p, s, i in (await copy_out(connection, _ALL_IDS, (), _dtypes(IDS))).iter_rows()}
    overrides = list((await copy_out(connection, _OVERRIDES, (), _dtypes(_OVERRIDE_FIELDS))).iter_rows())
    ids |= {(system, value): player_id for system, value, player_id in overrides if system != NAME}
    born = _group(await copy_out(connection, _OTHER_BIRTH_DATES, (), _dtypes(_BORN_FIELDS)), _to_born)
    return PlayerIndex.of(
        (
            _to_player(
                row,
                spellings=spellings.get(row[PLAYER_ID], ()),
                played=played.get(row[PLAYER_ID], ()),
                also_born=born.get(row[PLAYER_ID], ()),
            )
            for row in players.iter_rows(named=True)
        ),
        ids,
        {value: player_id for system, value, player_id in overrides if system == NAME},
    )


def _to_player(
    row: dict[str, object], *, spellings: tuple[str, ...], played: tuple[TeamSeason, ...], also_born: tuple[Born, ...]
) -> Player:
    values: dict[str, object] = dict(row)
    savant = values["name"]
    return Player(
        player_id=_int(values[PLAYER_ID]) or 0,
        first=str(values["name_first"] or ""),
        last=str(values["name_last"] or ""),
        given=str(values["name_given"] or ""),
        suffix=str(values["name_suffix"] or ""),
        born=(_int(values["birth_year"]), _int(values["birth_month"]), _int(values["birth_day"])),
        professional=_span(values["pro_first"], values["pro_last"]),
        major_league=_span(values["mlb_first"], values["mlb_last"]),
        spellings=(*spellings, str(savant)) if savant else spellings,
        played=played,
        also_born=also_born,
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _span(first: object, last: object) -> tuple[int, int] | None:
    begin, end = _int(first), _int(last)
    return None if begin is None else (begin, begin if end is None else end)


def _group(rows: pl.DataFrame, build: Callable[..., T]) -> dict[int, tuple[T, ...]]:
    """Build an object from each row without its first column, the player's id, and group the objects by id."""
    found: defaultdict[int, list[T]] = defaultdict(list)
    for player_id, *values in rows.iter_rows():
        found[player_id].append(build(*values))
    return {player_id: tuple(each) for player_id, each in found.items()}


def _to_team_season(role: str, season: int, team: str) -> TeamSeason:
    return TeamSeason(season=season, team=team, role=Role(role))


def _to_born(text_: str) -> Born:
    year, month, day = (int(part) for part in text_.split("-"))
    return year, month, day


def _dtypes(schema: dict[str, type[pl.DataType]]) -> dict[str, pl.DataType]:
    return {name: kind() for name, kind in schema.items()}
