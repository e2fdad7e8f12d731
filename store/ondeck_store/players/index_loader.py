"""Everyone who is known, read into an index for the resolver."""

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
_PEOPLE: Final = {**PEOPLE, "name": pl.String}
_PLAYED: Final = {PLAYER_ID: pl.Int32, "role": pl.String, "season": pl.Int32, "team": pl.String}
_BORN: Final = {PLAYER_ID: pl.Int32, "born": pl.String}
_DECIDED: Final = {"system": pl.String, "value": pl.String, PLAYER_ID: pl.Int32}

_EVERYONE: Final = f"SELECT {', '.join(_PEOPLE)} FROM players WHERE NOT simulated ORDER BY player_id"  # noqa: S608  names of our own
_SPELLINGS: Final = f"SELECT {', '.join(ALIASES)} FROM player_aliases ORDER BY player_id, spelling"  # noqa: S608  names of our own
_ALL_IDS: Final = f"SELECT {', '.join(IDS)} FROM player_ids"  # noqa: S608  names of our own
_STANDING: Final = """
SELECT system, value, player_id FROM (
    SELECT DISTINCT ON (system, value) * FROM player_overrides ORDER BY system, value, number DESC
) AS newest WHERE is_active
"""
_BORN_OTHERWISE: Final = "SELECT player_id, source_value AS born FROM player_conflicts WHERE field = 'born'"
_HAVE_PLAYED: Final = """
SELECT DISTINCT man.player_id, man.role, game_year, man.team
FROM pitches, LATERAL (VALUES
    (batter, 'batter', CASE inning_topbot WHEN 'Top' THEN away_team ELSE home_team END),
    (pitcher, 'pitcher', CASE inning_topbot WHEN 'Top' THEN home_team ELSE away_team END)
) AS man (player_id, role, team)
WHERE NOT simulated
"""
_FINGERPRINT: Final = """
SELECT concat_ws(' ',
    (SELECT concat(count(*), ' ', max(updated_at)) FROM players WHERE NOT simulated),
    (SELECT count(*) FROM player_ids), (SELECT count(*) FROM player_aliases), (SELECT count(*) FROM player_conflicts),
    (SELECT max(number) FROM player_overrides), (SELECT max(updated_at) FROM ingest_ledger WHERE NOT simulated))
"""


async def fingerprint(connection: AsyncConnection) -> str:
    """Tell in a short text whether an index that was read would come out the same."""
    return str((await connection.execute(text(_FINGERPRINT))).scalar_one())


async def read_index(connection: AsyncConnection) -> PlayerIndex:
    """Read everyone: who they are, how they are spelled, where they have played, what was decided by hand."""
    everyone = await copy_out(connection, _EVERYONE, (), _instances(_PEOPLE))
    aliases = await copy_out(connection, _SPELLINGS, (), _instances(ALIASES))
    spellings = _grouped(aliases.select(PLAYER_ID, "spelling"), str)
    played = _grouped(await copy_out(connection, _HAVE_PLAYED, (), _instances(_PLAYED)), _as_played)
    ids = {(s, i): p for p, s, i in (await copy_out(connection, _ALL_IDS, (), _instances(IDS))).iter_rows()}
    standing = list((await copy_out(connection, _STANDING, (), _instances(_DECIDED))).iter_rows())
    ids |= {(system, value): player_id for system, value, player_id in standing if system != NAME}
    born = _grouped(await copy_out(connection, _BORN_OTHERWISE, (), _instances(_BORN)), _as_born)
    return PlayerIndex(
        (
            _person(
                row,
                spellings=spellings.get(row[PLAYER_ID], ()),
                played=played.get(row[PLAYER_ID], ()),
                also_born=born.get(row[PLAYER_ID], ()),
            )
            for row in everyone.iter_rows(named=True)
        ),
        ids,
        {value: player_id for system, value, player_id in standing if system == NAME},
    )


def _person(
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


def _grouped(rows: pl.DataFrame, made: Callable[..., T]) -> dict[int, tuple[T, ...]]:
    """Make something of each row but for its first column, which is the player's id, and group it by that."""
    found: defaultdict[int, list[T]] = defaultdict(list)
    for player_id, *values in rows.iter_rows():
        found[player_id].append(made(*values))
    return {player_id: tuple(each) for player_id, each in found.items()}


def _as_played(role: str, season: int, team: str) -> TeamSeason:
    return TeamSeason(season=season, team=team, role=Role(role))


def _as_born(text_: str) -> Born:
    year, month, day = (int(part) for part in text_.split("-"))
    return year, month, day


def _instances(schema: dict[str, type[pl.DataType]]) -> dict[str, pl.DataType]:
    return {name: kind() for name, kind in schema.items()}
