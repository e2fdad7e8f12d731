"""Whose name stands in `player_name`: the pitcher's as pybaseball asks, the batter's as others do; no column tells."""

from typing import Final

import polars as pl

NAME: Final = "player_name"
_SHARED: Final = 1.05  # pitchers to a name: a few men share one


def with_pitchers_names_alone(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep names that are surely the pitchers', and none where they are the batters' or it cannot be told.

    They are the pitchers' if one pitcher goes with each name, and more batters than that.
    """
    pitchers, batters = _men_to_a_name(rows, "pitcher"), _men_to_a_name(rows, "batter")
    if pitchers <= _SHARED and pitchers < batters:
        return rows
    return rows.with_columns(pl.lit(None, dtype=pl.String).alias(NAME))


def _men_to_a_name(rows: pl.DataFrame, role: str) -> float:
    named = rows.filter(pl.col(NAME).is_not_null())
    names = named[NAME].n_unique()
    return named.select(NAME, role).n_unique() / names if names else 0.0
