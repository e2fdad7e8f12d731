"""Whose name stands in `player_name`: the pitcher's as pybaseball asks, the batter's as others do; no column tells."""

from typing import Final

import polars as pl

NAME: Final = "player_name"
_SHARED: Final = 1.05  # pitchers to a name: a few men share one
_FACED: Final = 1.5  # batters to a name: more than men who share one could be
_TOLD: Final = 0.1  # of the plays: a description begins with the batter, hardly ever with a man of the pitcher's name


def with_pitchers_names_alone(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep names that are surely the pitchers', and none where they are the batters' or it cannot be told.

    They are the pitchers' if one pitcher goes with each name, more batters than that, and no play begins with them.
    """
    named = rows.filter(pl.col(NAME).is_not_null())
    pitchers, batters = _men_to_a_name(named, "pitcher"), _men_to_a_name(named, "batter")
    if pitchers <= _SHARED and batters >= _FACED and _share_told_of(named) < _TOLD:
        return rows
    return rows.with_columns(pl.lit(None, dtype=pl.String).alias(NAME))


def _men_to_a_name(named: pl.DataFrame, role: str) -> float:
    names = named[NAME].n_unique()
    return named.select(NAME, role).n_unique() / names if names else 0.0


def _share_told_of(named: pl.DataFrame) -> float:
    first_last = pl.col(NAME).str.replace(r"^(.+), (.+)$", "$2 $1")
    share = named.select(pl.col("des").str.starts_with(first_last).mean()).item()
    return float(share or 0.0)
