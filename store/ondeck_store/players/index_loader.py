"""Loading of the player index from the database: the names, which change seldom, and the seasons that were played."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import ondeck_core.players
from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Born, Player
from ondeck_core.players.played_seasons import pack_played_seasons

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")

_NAME_LIBRARIES: Final = ("anyascii", "ftfy", "nicknames")
_ALL_PLAYERS: Final = """
SELECT player_id, name_first, name_last, name_given, name_suffix, birth_year, birth_month, birth_day,
    pro_first, pro_last, mlb_first, mlb_last, name
FROM players WHERE NOT simulated ORDER BY player_id
"""
_SPELLINGS: Final = "SELECT player_id, spelling FROM player_aliases ORDER BY player_id, spelling"
_ALL_IDS: Final = "SELECT system, id, player_id FROM player_ids"
_OVERRIDES: Final = """
SELECT system, value, player_id FROM (
    SELECT DISTINCT ON (system, value) * FROM player_overrides ORDER BY system, value, number DESC
) AS newest WHERE is_active AND (system = 'name') = $1
"""
_OTHER_BIRTH_DATES: Final = "SELECT player_id, source_value FROM player_conflicts WHERE field = 'born'"
_PLAYED_SEASONS: Final = """
SELECT DISTINCT player_id, season, team, role FROM player_seasons WHERE league = 'major'
ORDER BY player_id, season, team, role
"""
_NAMES_FINGERPRINT: Final = """
SELECT concat_ws(' ',
    (SELECT concat_ws(' ', count(*), count(name), max(updated_at)) FROM players WHERE NOT simulated),
    (SELECT count(*) FROM player_ids), (SELECT count(*) FROM player_aliases), (SELECT count(*) FROM player_conflicts),
    (SELECT max(number) FROM player_overrides))
"""
_SEASONS_FINGERPRINT: Final = """
SELECT concat_ws(' ', count(*), sum(hashtextextended(concat_ws(' ', player_id, season, team, role), 0)))
FROM player_seasons WHERE league = 'major'
"""


async def names_fingerprint(connection: "Connection") -> str:
    """Return a short text that changes when the names change: what is stored of them, or how they are normalized."""
    return f"{_normalization_digest()} {await connection.fetchval(_NAMES_FINGERPRINT)}"


async def seasons_fingerprint(connection: "Connection") -> str:
    """Return a short text that changes when a player has pitches of another season, team or role."""
    return str(await connection.fetchval(_SEASONS_FINGERPRINT))


async def read_names(connection: "Connection") -> bytes:
    """Read the block of the names: players, ids, spellings and overrides; takes some seconds of CPU time."""
    from ondeck_core.players.index_block import make_block  # noqa: PLC0415  it imports numpy; stored names need none

    spellings = _group(await connection.fetch(_SPELLINGS), str)
    born = _group(await connection.fetch(_OTHER_BIRTH_DATES), _to_born)
    ids = {(system, id_): player_id for system, id_, player_id in await connection.fetch(_ALL_IDS)}
    ids |= {(system, value): player_id for system, value, player_id in await connection.fetch(_OVERRIDES, False)}  # noqa: FBT003  a parameter of SQL
    players = [
        _to_player(row, spellings=spellings.get(row[0], ()), also_born=born.get(row[0], ()))
        for row in await connection.fetch(_ALL_PLAYERS)
    ]
    names = {value: player_id for _, value, player_id in await connection.fetch(_OVERRIDES, True)}  # noqa: FBT003  as above
    return make_block(players, ids, names)


async def read_seasons(connection: "Connection", names: memoryview) -> bytes:
    """Read the block of the seasons that were played in the major leagues, by the players of a block of names."""
    found: defaultdict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for player_id, season, team, role in await connection.fetch(_PLAYED_SEASONS):
        found[player_id].append((season, team, role))
    return pack_played_seasons(names, found)


async def read_index(connection: "Connection") -> PlayerIndex:
    """Read the player index into memory: players, ids, spellings, overrides and played seasons."""
    names = memoryview(await read_names(connection))
    return PlayerIndex(names, memoryview(await read_seasons(connection, names)))


@cache
def _normalization_digest() -> str:
    """Return a digest of the code that makes the keys of names."""
    digest = sha256(" ".join(map(version, _NAME_LIBRARIES)).encode())
    for file in sorted(Path(next(iter(ondeck_core.players.__path__))).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _to_player(row: "asyncpg.Record", *, spellings: tuple[str, ...], also_born: tuple[Born, ...]) -> Player:
    savant = row["name"]
    return Player(
        player_id=row["player_id"],
        first=row["name_first"] or "",
        last=row["name_last"] or "",
        given=row["name_given"] or "",
        suffix=row["name_suffix"] or "",
        born=(row["birth_year"], row["birth_month"], row["birth_day"]),
        professional=_span(row["pro_first"], row["pro_last"]),
        major_league=_span(row["mlb_first"], row["mlb_last"]),
        spellings=(*spellings, savant) if savant else spellings,
        also_born=also_born,
    )


def _span(first: int | None, last: int | None) -> tuple[int, int] | None:
    return None if first is None else (first, first if last is None else last)


def _group(rows: list[Any], build: Callable[[str], T]) -> dict[int, tuple[T, ...]]:
    """Build an object from the second column of each row, and group the objects by the first one, the player's id."""
    found: defaultdict[int, list[T]] = defaultdict(list)
    for player_id, value in rows:
        found[player_id].append(build(value))
    return {player_id: tuple(each) for player_id, each in found.items()}


def _to_born(text: str) -> Born:
    year, month, day = (int(part) for part in text.split("-"))
    return year, month, day
