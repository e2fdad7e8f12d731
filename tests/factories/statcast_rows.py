"""Sample Statcast rows from the simulator, in the form of an export."""

import csv
import io
from datetime import date, timedelta

import polars as pl

from ondeck_core.statcast.parse import parse_cells
from ondeck_core.statcast.schema import NAMES, RETIRED_COLUMNS
from ondeck_ingest.sources.simulator import simulated_day


def sample_cells(first: date, days: int, games: int = 1, seed: int = 0) -> pl.DataFrame:
    """Return text cells with all 118 columns of an export, labelled as a regular-season game of New York in Boston."""
    halves = [
        half for number in range(days) for half in simulated_day(first + timedelta(days=number), games=games, seed=seed)
    ]
    pitches = pl.concat(halves).with_columns(game_type=pl.lit("R"), home_team=pl.lit("BOS"), away_team=pl.lit("NYY"))
    absent = [
        pl.lit(None, dtype=pl.String).alias(name) for name in (*NAMES, *RETIRED_COLUMNS) if name not in pitches.columns
    ]
    return pitches.with_columns(absent)


def sample_rows(first: date, days: int, games: int = 1, seed: int = 0) -> pl.DataFrame:
    """Return the same rows, typed by the schema."""
    return parse_cells(sample_cells(first, days, games, seed)).rows


def as_csv(cells: pl.DataFrame) -> bytes:
    """Write cells as Savant does: everything but numbers quoted, absent values empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(cells.columns)
    writer.writerows(cells.rows())
    return out.getvalue().encode()
