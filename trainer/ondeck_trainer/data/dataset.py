"""The training rows of a task: instances, features and labels as float32, and copies of rows with missing values."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.errors import OndeckError
from ondeck_core.evaluation import RowAccount
from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.manifest import Window
from ondeck_core.task_rows import build_instances, label, label_columns, population, statcast_columns
from ondeck_core.tasks import Task

Labels = NDArray[np.int64]
SLICED_BY: Final = ("home_team", "balls", "strikes", "release_speed")
MASKED_ROWS: Final = 0.03  # share of the rows that are copied with missing values
MASKED_CELLS: Final = (0.3, 1.0)  # share of the optional fields that a copy lacks: some of them or all
INCOMPLETE: Final = "of the task, but not a valid request (a required field is missing or out of range)"


class NoTaskRowsError(OndeckError):
    """No row that was read can train or evaluate the task."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """n rows: `instances` (n, fields), `features` (n, features), `labels` (n,) and the Statcast `rows` behind them.

    `account` says which of the rows that were read are used, and why the others are not.
    """

    task: Task
    rows: pl.DataFrame
    instances: Matrix
    features: Matrix
    labels: Labels
    account: RowAccount

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
            account=self.account.leave_out("of other days", int((~days).sum())),
        )


def list_columns(task: Task) -> tuple[str, ...]:
    """List the Statcast columns that training and evaluation of a task read."""
    names = {*label_columns(task), *task.baselines.values(), *SLICED_BY}
    if task.value_column is not None:
        names.add(task.value_column)
    return tuple(dict.fromkeys(["game_date", "game_pk", *sorted(names), *statcast_columns(task.instance)]))


def build_dataset(task: Task, rows: pl.DataFrame, account: RowAccount | None = None) -> Dataset:
    """Build the dataset of a task from Statcast rows; rows that are no valid request are left out.

    `account` is that of the rows, before those that are not of the task were left out.

    Raises:
        NoTaskRowsError: no row is of the task and has all required fields.
    """
    chosen = rows.filter(population(task))
    instances = build_instances(chosen, task.instance)
    valid = valid_mask(task.instance, instances)
    kept = instances[valid]
    before = account or RowAccount(read=rows.height, used=rows.height)
    of_task = before.leave_out(f"not of the task {task.name}", rows.height - chosen.height)
    complete = of_task.leave_out(INCOMPLETE, int((~valid).sum()))
    if not complete.used:
        raise NoTaskRowsError(f"no usable row of the task {task.name} in these rows: {complete}")
    return Dataset(
        task=task,
        rows=chosen.filter(valid),
        instances=kept,
        features=task.features.compute(kept),
        labels=chosen.select(label(task).alias("label"))["label"].to_numpy()[valid],
        account=complete,
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
        account=rows.account,
    )
