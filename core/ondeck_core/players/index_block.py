"""Making of the block of a player index: the names and ids of all players, and the keys by which they are found."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from ondeck_core.players.block_sections import (
    MAJOR_LEAGUE_SPANS,
    NO_SPAN,
    PLAYER_IDS,
    pack_integers,
    pack_sections,
    pack_values,
)
from ondeck_core.players.index_keys import LAST_NAME, Key, group_by_last_name, name_keys, other_keys, table_key
from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import fold, fold_suffix, normalize

NAMES_PER_CHUNK: Final = 4096
SUFFIX_TEXTS: Final = {"jr": "Jr.", "sr": "Sr.", "ii": "II", "iii": "III", "iv": "IV", "v": "V"}


def make_block(
    players: Iterable[Player], ids: Mapping[tuple[str, str], int], overrides: Mapping[str, int] | None = None
) -> bytes:
    """Make the block of an index, without the seasons that were played.

    Args:
        players: all known players.
        ids: MLBAM id by system and id, for example `("bbref", "troutmi01")`.
        overrides: MLBAM id by spelling, from the recorded overrides.
    """
    by_id = {player.player_id: player for player in players}
    people = [_add_suffix(by_id[player_id]) for player_id in sorted(by_id)]
    groups = group_by_last_name(people)
    keys = [
        *other_keys(ids, overrides or {}),
        *name_keys(people),
        *((table_key(LAST_NAME, last), at) for at, last in enumerate(groups)),
    ]
    named = [player for player in people if player.name]
    names = [" ".join(fold(player.name)) for player in named]
    last_seasons = [player.major_league[1] if player.major_league else 0 for player in named]
    return pack_sections(
        {
            PLAYER_IDS: pack_integers(player.player_id for player in people),
            **pack_values("players", (player[:-1] for player in people)),  # all but the played seasons
            **pack_values("ids of players", _other_ids(people, ids)),
            **pack_values("last names", groups.values()),
            **_pack_table(keys),
            "named ids": pack_integers(player.player_id for player in named),
            "last seasons": pack_integers(last_seasons),
            MAJOR_LEAGUE_SPANS: pack_integers(season for player in people for season in player.major_league or NO_SPAN),
            **pack_values("names", (names[at : at + NAMES_PER_CHUNK] for at in range(0, len(names), NAMES_PER_CHUNK))),
        }
    )


def _pack_table(keys: Sequence[Key]) -> dict[str, bytes]:
    digests = np.fromiter((key for key, _ in keys), dtype=np.uint64, count=len(keys))
    order = np.argsort(digests, kind="stable")
    values = np.fromiter((value for _, value in keys), dtype=np.int32, count=len(keys))
    return {"keys": digests[order].tobytes(), "values": values[order].tobytes()}


def _other_ids(people: Iterable[Player], ids: Mapping[tuple[str, str], int]) -> Iterator[list[tuple[str, str]]]:
    found: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for system_and_id, player_id in ids.items():
        found[player_id].append(system_and_id)
    return (sorted(found.get(player.player_id, ())) for player in people)


def _add_suffix(player: Player) -> Player:
    """Return the player with the suffix of a spelling, if the register has none."""
    if fold_suffix(player.suffix):
        return player
    return player._replace(suffix=next((SUFFIX_TEXTS[s] for s in map(_suffix_of, player.spellings) if s), ""))


def _suffix_of(spelling: str) -> str:
    return normalize(spelling).suffix
