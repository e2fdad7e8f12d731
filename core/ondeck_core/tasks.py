"""Prediction tasks: the feature set, the outcomes, the rows and labels in Statcast, and the public baselines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import polars as pl

from ondeck_core.errors import NotFoundError
from ondeck_core.features.batted_ball import BATTED_BALL_FEATURES
from ondeck_core.features.feature_set import FeatureSet
from ondeck_core.features.pitch import PITCH_FEATURES
from ondeck_core.instances import InstanceType
from ondeck_core.model_name_normalization import canonical

HITS: Final = ("single", "double", "triple", "home_run")
_TAKES: Final = ("ball", "blocked_ball", "called_strike")
_WHIFFS: Final = ("swinging_strike", "swinging_strike_blocked")
_CONTACT: Final = ("foul", "foul_tip", "hit_into_play")
_PITCH_OUTCOME_BY_DESCRIPTION: Final = {
    "ball": "ball",
    "blocked_ball": "ball",
    "hit_by_pitch": "ball",
    "called_strike": "called_strike",
    "swinging_strike": "swinging_strike",
    "swinging_strike_blocked": "swinging_strike",
    "foul_tip": "swinging_strike",
    "missed_bunt": "swinging_strike",
    "bunt_foul_tip": "swinging_strike",
    "foul": "foul",
    "foul_bunt": "foul",
    "hit_into_play": "in_play",
}  # pitchouts and automatic balls and strikes are excluded


@dataclass(frozen=True, kw_only=True)
class Task:
    """One prediction task.

    `population` selects its rows from Statcast rows, `label` computes the index of the observed outcome. `baselines`
    maps the name of a public estimate to its Statcast column. `value_column` is the Statcast column with the value
    of an outcome.
    """

    name: str
    features: FeatureSet
    outcomes: tuple[str, ...]
    population: pl.Expr
    label: pl.Expr
    baselines: Mapping[str, str] = field(default_factory=dict)
    value_column: str | None = None

    @cached_property
    def instance(self) -> InstanceType:
        """Instance type of the task."""
        return self.features.instance


def _index_of(outcomes: tuple[str, ...], name: pl.Expr) -> pl.Expr:
    return name.replace_strict(
        {outcome: index for index, outcome in enumerate(outcomes)}, default=0, return_dtype=pl.Int64
    )


_BATTED_BALL_OUTCOMES: Final = ("out", *HITS)

BATTED_BALL_TASK: Final = Task(
    name="batted_ball",
    features=BATTED_BALL_FEATURES,
    outcomes=_BATTED_BALL_OUTCOMES,
    population=(pl.col("type") == "X") & pl.col("events").is_not_null(),
    label=_index_of(_BATTED_BALL_OUTCOMES, pl.col("events")),
    baselines={"xba": "estimated_ba_using_speedangle", "xwoba": "estimated_woba_using_speedangle"},
    value_column="woba_value",
)

CALLED_STRIKE_TASK: Final = Task(
    name="called_strike",
    features=PITCH_FEATURES,
    outcomes=("ball", "called_strike"),
    population=pl.col("description").is_in(_TAKES),
    label=(pl.col("description") == "called_strike").cast(pl.Int64),
)

WHIFF_TASK: Final = Task(
    name="whiff",
    features=PITCH_FEATURES,
    outcomes=("contact", "whiff"),
    population=pl.col("description").is_in((*_WHIFFS, *_CONTACT)),
    label=pl.col("description").is_in(_WHIFFS).cast(pl.Int64),
)

_PITCH_OUTCOMES: Final = ("ball", "called_strike", "swinging_strike", "foul", "in_play")

PITCH_OUTCOME_TASK: Final = Task(
    name="pitch_outcome",
    features=PITCH_FEATURES,
    outcomes=_PITCH_OUTCOMES,
    population=pl.col("description").is_in(tuple(_PITCH_OUTCOME_BY_DESCRIPTION)),
    label=_index_of(_PITCH_OUTCOMES, pl.col("description").replace_strict(_PITCH_OUTCOME_BY_DESCRIPTION, default=None)),
)

TASKS: Final = {task.name: task for task in (BATTED_BALL_TASK, CALLED_STRIKE_TASK, WHIFF_TASK, PITCH_OUTCOME_TASK)}


def task_named(name: str) -> Task:
    """Return a task by name; `batted-ball` and `batted_ball` are the same name.

    Raises:
        NotFoundError: there is no such task.
    """
    try:
        return TASKS[canonical(name)]
    except KeyError:
        raise NotFoundError("task", name, sorted(TASKS)) from None
