"""Spellings that a source has put beside the wrong man."""

from collections.abc import Mapping

import polars as pl

from ondeck_core.players.name_normalization import fold, normalize
from ondeck_core.players.register_formats import PLAYER_ID

MIXED_UP = "mixed_up"


def with_mixups(aliases: pl.DataFrame, names: Mapping[int, str]) -> pl.DataFrame:
    """Mark in `mixed_up` each spelling that shares no word with the man it stands beside and is another's whole name.

    `names` gives everyone's name by MLBAM id, "First Last".
    """
    keys = {normalize(name).key for name in names.values()}

    def mixed_up(player_id: int, spelling: str) -> bool:
        own = set(fold(names.get(player_id, spelling)))
        return own.isdisjoint(fold(spelling)) and normalize(spelling).key in keys

    marks = [mixed_up(*row) for row in aliases.select(PLAYER_ID, "spelling").iter_rows()]
    return aliases.with_columns(pl.Series(MIXED_UP, marks, dtype=pl.Boolean))
