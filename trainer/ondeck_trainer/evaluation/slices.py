"""Figures of parts of the rows: by month, by park, by count, by speed."""

from itertools import pairwise
from typing import Final

import polars as pl

from ondeck_core import scoring
from ondeck_core.evaluation import Slice
from ondeck_trainer.data.dataset import Dataset, Labels
from ondeck_trainer.model.ensemble import Probabilities

LEAST_ROWS: Final = 50  # fewer tell nothing
_BANDS: Final = {"batted_ball": ("launch_speed", (70, 80, 90, 95, 100, 105)), "": ("release_speed", (80, 85, 90, 95))}


def slices(given: Probabilities, rows: Dataset) -> tuple[Slice, ...]:
    """Compute the figures of each part that has at least 50 rows."""
    keys = rows.rows.select(
        pl.col("game_date").dt.strftime("%Y-%m").alias("month"),
        pl.col("home_team").alias("park"),
        pl.concat_str(pl.col("balls").cast(pl.String), pl.lit("-"), pl.col("strikes").cast(pl.String)).alias("count"),
        _band(rows.task.name),
    )
    return tuple(
        _slice(by, str(value), given[chosen], rows.labels[chosen])
        for by in keys.columns
        for value in sorted(keys[by].drop_nulls().unique().cast(pl.String))
        if (chosen := (keys[by].cast(pl.String) == value).fill_null(value=False).to_numpy()).sum() >= LEAST_ROWS
    )


def _band(task: str) -> pl.Expr:
    column, edges = _BANDS.get(task, _BANDS[""])
    names = [f"below {edges[0]}", *(f"{low} to {high}" for low, high in pairwise(edges))]
    band: pl.Expr = pl.when(pl.col(column).is_not_null()).then(pl.lit(f"from {edges[-1]}"))
    for edge, name in zip(reversed(edges), reversed(names), strict=True):
        band = pl.when(pl.col(column) < edge).then(pl.lit(name)).otherwise(band)
    return band.alias("speed_band")


def _slice(by: str, value: str, given: Probabilities, labels: Labels) -> Slice:
    return Slice(
        by=by,
        value=value,
        rows=len(labels),
        log_loss=scoring.log_loss(given, labels),
        ece=scoring.calibration_error(given, labels),
        accuracy=float(scoring.is_top_outcome(given, labels).mean()),
    )
