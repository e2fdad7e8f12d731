"""Rows to measure with: real Statcast rows where they are at hand, else rows drawn within the legal ranges."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.statcast.instances import instances_of
from ondeck_core.statcast.parse import read_cells
from ondeck_core.tasks import Task

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("ONDECK_REAL_DATA", ROOT.parent / "shared" / "data"))
MONTH = REAL / "statcast" / "statcast_2024-06.parquet"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Instances of one task and where they come from."""

    instances: Matrix
    origin: str


def sample(task: Task, rows: int) -> Sample:
    """Take `rows` instances of a task, in an order that no tree can guess."""
    if MONTH.is_file():
        month = read_cells(pl.read_parquet(MONTH)).rows.filter(task.population)
        instances = instances_of(month, task.instance)
        kept = instances[valid_mask(task.instance, instances)]
        return Sample(instances=np.random.default_rng(1).permutation(kept)[:rows], origin="real rows of June 2024")
    return Sample(instances=drawn(task.instance, rows), origin="rows drawn at random within the valid_mask ranges")


def drawn(instance: InstanceType, rows: int) -> Matrix:
    """Draw instances within the legal ranges, always the same."""
    draw = np.random.default_rng(1)
    columns = {}
    for field in instance.fields:
        values = draw.uniform(field.low, max(field.codes) if field.codes else field.high, rows)
        columns[field.name] = np.round(values) if field.whole or field.codes else values
    columns.pop("spray_angle", None)  # the direction is given once
    if "sz_bot" in columns:
        columns["sz_bot"] = columns["sz_top"] / 2
    return instance.matrix(columns, rows)
