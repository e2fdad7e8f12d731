"""The seasons in which stored pitches contain each player, as a block of bytes beside that of the names.

They change with nearly every day of games, the names seldom: making their block takes milliseconds.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from pydantic_core import from_json, to_json

from ondeck_core.players.block_sections import (
    MAJOR_LEAGUE_SPANS,
    NO_SPAN,
    PLAYER_IDS,
    pack_integers,
    pack_sections,
    read_sections,
)
from ondeck_core.players.models import Role, TeamSeason

# Share of a season's major leaguers who have stored pitches, in any role and in each role, if it is stored in whole.
WHOLE_SHARES: Final = {None: 0.9, Role.PITCHER: 0.5, Role.BATTER: 0.42}
WHOLE_COUNT: Final = 200  # major leaguers with stored pitches at least
_NAMES, _SEASONS = "names", "seasons"
_ANY: Final = "any role"
_ROLES: Final = {role.value: role for role in Role}

Seasons = Mapping[int, Sequence[tuple[int, str, str]]]  # season, team and role, by player id


class PlayedSeasons:
    """The seasons of each player, in a block of memory, which may be a mapped file.

    `whole` has by role, None for both, the seasons that are stored for nearly all major leaguers.

    Raises:
        ValueError: it is not a whole block.
    """

    def __init__(self, block: memoryview) -> None:
        sections = read_sections(block)
        self.whole = {role: frozenset(sections[_whole_section(role)].cast("i")) for role in WHOLE_SHARES}
        self._ids = sections[PLAYER_IDS].cast("i")
        self._places = sections["places"].cast("Q")
        self._seasons = sections["seasons"]

    def of(self, player_id: int) -> tuple[TeamSeason, ...]:
        """Return the seasons of a player, in the order of the block."""
        at = bisect_left(self._ids, player_id)
        if at == len(self._ids) or self._ids[at] != player_id:
            return ()
        seasons = from_json(bytes(self._seasons[self._places[at] : self._places[at + 1]]))
        return tuple(TeamSeason(season, team, _ROLES[role]) for season, team, role in seasons)


def pack_played_seasons(names: memoryview, seasons: Seasons) -> bytes:
    """Make the block of the seasons of players whose names are in another block."""
    ids = sorted(seasons)
    stored = [to_json(seasons[player_id]) for player_id in ids]
    places = array("Q", accumulate(map(len, stored), initial=0))
    whole = _find_whole_seasons(names, seasons)
    return pack_sections(
        {
            PLAYER_IDS: pack_integers(ids),
            "places": places.tobytes(),
            "seasons": b"".join(stored),
            **{_whole_section(role): pack_integers(whole[role]) for role in whole},
        }
    )


def pack_players(names: memoryview, seasons: bytes) -> bytes:
    """Make one block of the blocks of names and of seasons."""
    return pack_sections({_NAMES: names, _SEASONS: seasons})


def read_players(block: memoryview) -> tuple[memoryview, memoryview]:
    """Return the blocks of names and of seasons in a block of both.

    Raises:
        ValueError: it is not a whole block.
    """
    sections = read_sections(block)
    return sections[_NAMES], sections[_SEASONS]


def _whole_section(role: Role | None) -> str:
    return f"whole seasons of {role.value if role else 'all'}"


def _find_whole_seasons(names: memoryview, seasons: Seasons) -> dict[Role | None, list[int]]:
    """Return the seasons in which nearly all players whom a register has in the major leagues have stored pitches."""
    sections = read_sections(names)
    ids, spans = sections[PLAYER_IDS].cast("i"), sections[MAJOR_LEAGUE_SPANS].cast("i")
    stored: Counter[tuple[int, str]] = Counter()
    for player_id, played in seasons.items():
        first, last = _find_span(ids, spans, player_id)
        in_majors = {(season, role) for season, _, role in played if first <= season <= last}
        stored.update(in_majors | {(season, _ANY) for season, _ in in_majors})
    listed = _count_listed(spans, {season for season, _ in stored})
    return {
        role: _find_whole(stored, listed, role.value if role else _ANY, WHOLE_SHARES[role]) for role in WHOLE_SHARES
    }


def _find_span(ids: memoryview, spans: memoryview, player_id: int) -> tuple[int, int]:
    """Return the first and last major league season of a player, NO_SPAN for an unknown one."""
    at = bisect_left(ids, player_id)
    if at == len(ids) or ids[at] != player_id:
        return NO_SPAN
    return spans[2 * at], spans[2 * at + 1]


def _count_listed(spans: memoryview, seasons: set[int]) -> dict[int, int]:
    """Return by season how many players have it in the span of their major league seasons."""
    found = Counter(zip(spans[::2], spans[1::2], strict=True))
    return {season: sum(found[span] for span in found if span[0] <= season <= span[1]) for season in seasons}


def _find_whole(stored: Counter[tuple[int, str]], listed: dict[int, int], role: str, share: float) -> list[int]:
    return sorted(season for season in listed if stored[season, role] >= max(WHOLE_COUNT, share * listed[season]))
