"""Rows to measure with: real Statcast rows where they exist, else rows drawn at random within the valid ranges."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.production_lookup import ROOT
from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.task_rows import build_instances, population
from ondeck_core.tasks import Task

REAL = Path(os.environ.get("ONDECK_REAL_DATA", ROOT.parent / "shared" / "data"))
MONTH = REAL / "statcast" / "statcast_2024-06.parquet"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Instances of one task and where they come from."""

    instances: Matrix
    origin: str


def sample(task: Task, rows: int, *, prefer_real: bool = True) -> Sample:
    """Return `rows` instances of a task in random order, always the same."""
    if prefer_real and MONTH.is_file():
        month = parse_cells(pl.read_parquet(MONTH)).rows.filter(population(task))
        instances = build_instances(month, task.instance)
        valid = instances[valid_mask(task.instance, instances)]
        return Sample(instances=np.random.default_rng(1).permutation(valid)[:rows], origin="real rows of June 2024")
    return Sample(instances=generate_instances(task.instance, rows), origin="generated rows within the valid ranges")


def generate_instances(instance: InstanceType, rows: int) -> Matrix:
    """Generate instances within the valid ranges, always the same, of shape (rows, fields)."""
    draw = np.random.default_rng(1)
    columns = {}
    for field in instance.fields:
        values = draw.uniform(field.low, max(field.codes) if field.codes else field.high, rows)
        columns[field.name] = np.round(values) if field.integer or field.codes else values
    columns.pop("spray_angle", None)  # the direction is one of two fields, never both
    if "sz_bot" in columns:
        columns["sz_bot"] = columns["sz_top"] / 2
    return instance.matrix(columns, rows)
