"""The training rows of a task: instances, features and labels as float32, and copies of rows with missing values."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.manifest import Window
from ondeck_core.statcast.instances import build_instances, statcast_columns
from ondeck_core.task_rows import label, label_columns, population
from ondeck_core.tasks import Task

Labels = NDArray[np.int64]
SLICED_BY: Final = ("home_team", "balls", "strikes", "release_speed")
MASKED_ROWS: Final = 0.03  # share of the rows that are copied with missing values
MASKED_CELLS: Final = (0.3, 1.0)  # share of the optional fields that a copy lacks: some of them or all


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """n rows: `instances` (n, fields), `features` (n, features), `labels` (n,) and the Statcast `rows` behind them.

    `left_out`: number of rows of the population that are not valid requests, for example without a required field.
    """

    task: Task
    rows: pl.DataFrame
    instances: Matrix
    features: Matrix
    labels: Labels
    left_out: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the days, the instances and the labels."""
        content = hashlib.sha256("\n".join(self.rows["game_date"].cast(pl.String)).encode())
        content.update(self.instances.tobytes())
        content.update(self.labels.tobytes())
        return content.hexdigest()

    @property
    def window(self) -> Window:
        """The first and the last day of the rows."""
        days = self.rows["game_date"]
        return Window.model_validate({"first_day": days.min(), "last_day": days.max()})

    def between(self, window: Window) -> "Dataset":
        """Return the rows of a span of days, both ends included."""
        days = self.rows["game_date"].is_between(window.first_day, window.last_day).to_numpy()
        return Dataset(
            task=self.task,
            rows=self.rows.filter(days),
            instances=self.instances[days],
            features=self.features[days],
            labels=self.labels[days],
            left_out=0,
        )


def list_columns(task: Task) -> tuple[str, ...]:
    """List the Statcast columns that training and evaluation of a task read."""
    names = {*label_columns(task), *task.baselines.values(), *SLICED_BY}
    if task.value_column is not None:
        names.add(task.value_column)
    return tuple(dict.fromkeys(["game_date", "game_pk", *sorted(names), *statcast_columns(task.instance)]))


def build_dataset(task: Task, rows: pl.DataFrame) -> Dataset:
    """Build the dataset of a task from Statcast rows; rows that are no valid request are left out."""
    chosen = rows.filter(population(task))
    instances = build_instances(chosen, task.instance)
    valid = valid_mask(task.instance, instances)
    kept = instances[valid]
    return Dataset(
        task=task,
        rows=chosen.filter(valid),
        instances=kept,
        features=task.features.compute(kept),
        labels=chosen.select(label(task).alias("label"))["label"].to_numpy()[valid],
        left_out=int((~valid).sum()),
    )


def mask_optional_fields(instance: InstanceType, instances: Matrix, shares: NDArray[np.float64], seed: int) -> Matrix:
    """Copy instances with optional fields set to NaN, in each row about its share of them; `shares` has shape (n,).

    The two hit coordinates are set to NaN together, because a caller has both or neither.
    """
    draw = np.random.default_rng(seed)
    masked = instances.copy()
    for name in instance.names:
        if instance.fields[instance.index(name)].required or name == "hc_y":
            continue
        absent = draw.random(len(masked)) < shares
        masked[absent, instance.index(name)] = np.nan
        if name == "hc_x":
            masked[absent, instance.index("hc_y")] = np.nan
    return masked


def add_masked_rows(rows: Dataset, seed: int) -> Dataset:
    """Add copies of some rows with optional fields missing, since a request may have fewer fields than Statcast."""
    draw = np.random.default_rng(seed)
    copied = np.sort(draw.choice(len(rows), int(MASKED_ROWS * len(rows)), replace=False))
    shares = draw.choice(MASKED_CELLS, len(copied))
    masked = mask_optional_fields(rows.task.instance, rows.instances[copied], shares, seed)
    return Dataset(
        task=rows.task,
        rows=rows.rows[np.concatenate([np.arange(len(rows)), copied])],
        instances=np.vstack([rows.instances, masked]),
        features=np.vstack([rows.features, rows.task.features.compute(masked)]),
        labels=np.concatenate([rows.labels, rows.labels[copied]]),
        left_out=rows.left_out,
    )
