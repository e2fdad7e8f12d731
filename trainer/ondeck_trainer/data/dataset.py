"""The rows a task is learned from: instances, features and labels, always float32 before anything is fitted."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.instances import Matrix, valid_mask
from ondeck_core.manifest import Window
from ondeck_core.statcast.instances import columns_of as instance_columns
from ondeck_core.statcast.instances import instances_of
from ondeck_core.tasks import Task

Labels = NDArray[np.int64]
SLICED_BY: Final = ("home_team", "balls", "strikes", "release_speed")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """n rows: `instances` (n, fields), `features` (n, features), `labels` (n,) and the `rows` they were made of."""

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
        """SHA-256 of what is learned from: the days, the instances and the labels."""
        content = hashlib.sha256("\n".join(self.rows["game_date"].cast(pl.String)).encode())
        content.update(self.instances.tobytes())
        content.update(self.labels.tobytes())
        return content.hexdigest()

    def between(self, window: Window) -> "Dataset":
        """Take the rows of a span of days, both ends included."""
        days = self.rows["game_date"].is_between(window.first_day, window.last_day).to_numpy()
        return Dataset(
            task=self.task,
            rows=self.rows.filter(days),
            instances=self.instances[days],
            features=self.features[days],
            labels=self.labels[days],
            left_out=0,
        )


def columns_of(task: Task) -> tuple[str, ...]:
    """Columns of the Statcast contract that a task is learned and judged from."""
    asked = {*task.population.meta.root_names(), *task.label.meta.root_names(), *task.baselines.values(), *SLICED_BY}
    if task.worth is not None:
        asked.add(task.worth)
    return tuple(dict.fromkeys(["game_date", "game_pk", *sorted(asked), *instance_columns(task.instance)]))


def dataset_of(task: Task, rows: pl.DataFrame) -> Dataset:
    """Make the dataset of a task from rows of the contract; rows it could not be asked about are left out."""
    chosen = rows.filter(task.population)
    instances = instances_of(chosen, task.instance)
    fit_to_ask = valid_mask(task.instance, instances)
    kept = instances[fit_to_ask]
    return Dataset(
        task=task,
        rows=chosen.filter(fit_to_ask),
        instances=kept,
        features=task.features.compute(kept),
        labels=chosen.select(task.label.alias("label"))["label"].to_numpy()[fit_to_ask],
        left_out=int((~fit_to_ask).sum()),
    )
