"""The rows of a task among Statcast rows, and the label of each; apart from the tasks, as serving needs no rows."""

from typing import Final

import polars as pl

from ondeck_core.tasks import Task

_PITCH_RESULT: Final = "type"  # B, S or X: ball, strike or in play


def population(task: Task) -> pl.Expr:
    """Return the filter that selects the rows of a task."""
    value = pl.col(task.outcome_column)
    rows = value.is_in(tuple(task.outcome_by_value)) if task.other_outcome is None else value.is_not_null()
    return rows if task.pitch_result is None else (pl.col(_PITCH_RESULT) == task.pitch_result) & rows


def label(task: Task) -> pl.Expr:
    """Return the index of the observed outcome of a row that `population` selects."""
    index_by_value = {value: task.outcomes.index(outcome) for value, outcome in task.outcome_by_value.items()}
    other = None if task.other_outcome is None else task.outcomes.index(task.other_outcome)
    return pl.col(task.outcome_column).replace_strict(index_by_value, default=other, return_dtype=pl.Int64)


def label_columns(task: Task) -> set[str]:
    """Return the columns that `population` and `label` read."""
    return {task.outcome_column} | ({_PITCH_RESULT} if task.pitch_result is not None else set())
