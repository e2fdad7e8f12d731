"""Statcast rows that nobody ever played: the simulator's, as an export would hold them. For tests alone."""

import csv
import io
from datetime import date, timedelta

import polars as pl

from ondeck_core.statcast.parse import read_cells
from ondeck_core.statcast.schema import EMPTIED, NAMES
from ondeck_ingest.sources.simulator import simulated_day


def sample_cells(first: date, days: int, games: int = 1, seed: int = 0) -> pl.DataFrame:
    """Cells of text with all 118 columns of an export, as of a regular season."""
    halves = [
        half for number in range(days) for half in simulated_day(first + timedelta(days=number), games=games, seed=seed)
    ]
    played = pl.concat(halves).with_columns(game_type=pl.lit("R"))
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in (*NAMES, *EMPTIED) if name not in played.columns]
    return played.with_columns(absent)


def sample_rows(first: date, days: int, games: int = 1, seed: int = 0) -> pl.DataFrame:
    """The same, typed by the contract."""
    return read_cells(sample_cells(first, days, games, seed)).rows


def as_csv(cells: pl.DataFrame) -> bytes:
    """Write cells as Savant does: everything but numbers quoted, nothing where nothing is known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(cells.columns)
    writer.writerows(cells.rows())
    return out.getvalue().encode()
