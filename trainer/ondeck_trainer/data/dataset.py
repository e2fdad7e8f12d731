"""The training rows of a task: instances, features and labels as float32, and copies of rows with missing values."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.errors import OndeckError
from ondeck_core.evaluation import RowAccount
from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.manifest import Window
from ondeck_core.task_rows import (
    build_instances,
    has_unknown_outcome,
    label,
    label_columns,
    population,
    statcast_columns,
)
from ondeck_core.tasks import Task

Labels = NDArray[np.int64]
SLICED_BY: Final = ("home_team", "balls", "strikes", "release_speed")
MASKED_ROWS: Final = 0.03  # share of the rows that are copied with missing values
MASKED_CELLS: Final = (0.3, 1.0)  # share of the optional fields that a copy lacks: some of them or all
PIECE_ROWS: Final = 1 << 16  # rows that are converted at once, so that temporary arrays stay small
UNKNOWN_OUTCOME: Final = "with a code that is not known in"
INCOMPLETE: Final = "of the task, but not a valid request (a required field is missing or out of range)"


class NoTaskRowsError(OndeckError):
    """No row that was read can train or evaluate the task."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """n rows: `instances` (n, fields), `labels` (n,), and the Statcast columns in `rows` that evaluation reads.

    `account` says which of the rows that were read are used, and why the others are not.
    """

    task: Task
    rows: pl.DataFrame
    instances: Matrix
    labels: Labels
    account: RowAccount

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def features(self) -> Matrix:
        """Features of shape (n, features), which take twice the memory of the instances: compute them for few rows."""
        return self.task.features.compute(self.instances)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the days, the instances and the labels."""
        content, separator = hashlib.sha256(), ""
        for piece in self.rows["game_date"].to_frame().iter_slices(PIECE_ROWS):
            content.update((separator + "\n".join(piece["game_date"].cast(pl.String))).encode())
            separator = "\n"
        content.update(np.ascontiguousarray(self.instances).data)
        content.update(np.ascontiguousarray(self.labels).data)
        return content.hexdigest()

    @property
    def window(self) -> Window:
        """The first and the last day of the rows."""
        days = self.rows["game_date"]
        return Window.model_validate({"first_day": days.min(), "last_day": days.max()})

    def between(self, window: Window) -> "Dataset":
        """Return the rows of a span of days, both ends included; views of this dataset if its rows are in order."""
        days = np.flatnonzero(self.rows["game_date"].is_between(window.first_day, window.last_day).to_numpy())
        is_block = len(days) > 0 and days[-1] - days[0] + 1 == len(days)
        chosen = slice(int(days[0]), int(days[-1]) + 1) if is_block else days
        return Dataset(
            task=self.task,
            rows=self.rows[chosen],
            instances=self.instances[chosen],
            labels=self.labels[chosen],
            account=self.account.leave_out("of other days", len(self) - len(days)),
        )


def list_columns(task: Task) -> tuple[str, ...]:
    """List the Statcast columns that training and evaluation of a task read."""
    names = sorted({*label_columns(task), *_evaluation_columns(task)})
    return tuple(dict.fromkeys(["game_date", "game_pk", *names, *statcast_columns(task.instance)]))


def _evaluation_columns(task: Task) -> tuple[str, ...]:
    """List the Statcast columns that evaluation reads beside the instances."""
    speeds = [name for name in ("launch_speed",) if name in task.instance.names]
    values = [] if task.value_column is None else [task.value_column]
    return tuple(dict.fromkeys(["game_date", "game_pk", *task.baselines.values(), *values, *SLICED_BY, *speeds]))


def build_dataset(task: Task, rows: pl.DataFrame, account: RowAccount | None = None) -> Dataset:
    """Build the dataset of a task from Statcast rows; rows that are no valid request are left out.

    `account` is that of the rows, before those that are not of the task were left out.

    Raises:
        NoTaskRowsError: no row is of the task and has all required fields.
    """
    parts = [convert_rows(task, piece) for piece in rows.iter_slices(PIECE_ROWS)]
    return join_parts(task, parts, account or RowAccount(read=rows.height, used=rows.height))


def unknown_outcome(task: Task) -> str:
    """Return the reason for which rows with an unknown code are left out."""
    return f"{UNKNOWN_OUTCOME} {task.outcome_column}"


def convert_rows(task: Task, rows: pl.DataFrame) -> Dataset:
    """Convert the usable rows of a task among some Statcast rows; possibly none."""
    known = rows.filter(~has_unknown_outcome(task))
    chosen = known.filter(population(task))
    instances = build_instances(chosen, task.instance)
    valid = valid_mask(task.instance, instances)
    account = RowAccount(read=rows.height, used=rows.height)
    account = account.leave_out(unknown_outcome(task), rows.height - known.height)
    account = account.leave_out(other_tasks(task), known.height - chosen.height)
    return Dataset(
        task=task,
        rows=chosen.filter(valid).select(name for name in _evaluation_columns(task) if name in chosen.columns),
        instances=instances[valid],
        labels=chosen.select(label(task).alias("label"))["label"].to_numpy()[valid],
        account=account.leave_out(INCOMPLETE, int((~valid).sum())),
    )


def join_parts(task: Task, parts: Sequence[Dataset], account: RowAccount) -> Dataset:
    """Join converted rows; `account` is that of all rows of the parts, before the conversion.

    Raises:
        NoTaskRowsError: no part has a row.
    """
    for reason in (unknown_outcome(task), other_tasks(task), INCOMPLETE):
        account = account.leave_out(reason, sum(part.account.left_out.get(reason, 0) for part in parts))
    if not account.used:
        raise NoTaskRowsError(f"no usable row of the task {task.name} in these rows: {account}")
    return Dataset(
        task=task,
        rows=pl.concat([part.rows for part in parts]),
        instances=np.concatenate([part.instances for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        account=account,
    )


def other_tasks(task: Task) -> str:
    """Return why rows outside the population of a task are left out."""
    return f"not of the task {task.name}"


def row_pieces(rows: int) -> Iterator[slice]:
    """Cut row numbers from 0 to `rows` into pieces."""
    return (slice(start, min(start + PIECE_ROWS, rows)) for start in range(0, rows, PIECE_ROWS))


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


def copy_with_missing_values(rows: Dataset, seed: int) -> Dataset:
    """Copy some rows with optional fields missing, since a request may have fewer fields than Statcast."""
    draw = np.random.default_rng(seed)
    copied = np.sort(draw.choice(len(rows), int(MASKED_ROWS * len(rows)), replace=False))
    shares = draw.choice(MASKED_CELLS, len(copied))
    return Dataset(
        task=rows.task,
        rows=rows.rows[copied],
        instances=mask_optional_fields(rows.task.instance, rows.instances[copied], shares, seed),
        labels=rows.labels[copied],
        account=rows.account,
    )
