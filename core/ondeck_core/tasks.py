"""Prediction tasks: the feature set, the outcomes, how Statcast records them, and the public baselines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ondeck_core.errors import NotFoundError
from ondeck_core.features.batted_ball import BATTED_BALL_FEATURES
from ondeck_core.features.feature_set import FeatureSet
from ondeck_core.features.pitch import PITCH_FEATURES
from ondeck_core.instances import InstanceType
from ondeck_core.model_name_normalization import canonical

HITS: Final = ("single", "double", "triple", "home_run")
_BALL_OR_STRIKE: Final = {"ball": "ball", "blocked_ball": "ball", "called_strike": "called_strike"}
_CONTACT_OR_WHIFF: Final = {
    **dict.fromkeys(("foul", "foul_tip", "hit_into_play"), "contact"),
    **dict.fromkeys(("swinging_strike", "swinging_strike_blocked"), "whiff"),
}
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

    `outcome_column` is the Statcast column with the observed outcome, `outcome_by_value` maps its values to outcomes.
    Rows with other values have the outcome `other_outcome`; None: they do not belong to the task. `pitch_result`
    limits the task to rows with this value of the Statcast column `type`. `baselines` maps the name of a public
    estimate to its Statcast column. `value_column` is the Statcast column with the value of an outcome.
    """

    name: str
    features: FeatureSet
    outcomes: tuple[str, ...]
    outcome_column: str
    outcome_by_value: Mapping[str, str]
    other_outcome: str | None = None
    pitch_result: str | None = None
    baselines: Mapping[str, str] = field(default_factory=dict)
    value_column: str | None = None

    @cached_property
    def instance(self) -> InstanceType:
        """Instance type of the task."""
        return self.features.instance


BATTED_BALL_TASK: Final = Task(
    name="batted_ball",
    features=BATTED_BALL_FEATURES,
    outcomes=("out", *HITS),
    outcome_column="events",
    outcome_by_value={hit: hit for hit in HITS},
    other_outcome="out",
    pitch_result="X",
    baselines={"xba": "estimated_ba_using_speedangle", "xwoba": "estimated_woba_using_speedangle"},
    value_column="woba_value",
)

CALLED_STRIKE_TASK: Final = Task(
    name="called_strike",
    features=PITCH_FEATURES,
    outcomes=("ball", "called_strike"),
    outcome_column="description",
    outcome_by_value=_BALL_OR_STRIKE,
)

WHIFF_TASK: Final = Task(
    name="whiff",
    features=PITCH_FEATURES,
    outcomes=("contact", "whiff"),
    outcome_column="description",
    outcome_by_value=_CONTACT_OR_WHIFF,
)

PITCH_OUTCOME_TASK: Final = Task(
    name="pitch_outcome",
    features=PITCH_FEATURES,
    outcomes=("ball", "called_strike", "swinging_strike", "foul", "in_play"),
    outcome_column="description",
    outcome_by_value=_PITCH_OUTCOME_BY_DESCRIPTION,
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
