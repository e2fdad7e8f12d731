"""Explains one prediction: runs the rows of an explanation plan through the batcher, and attributes the difference."""

from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from ondeck_core.errors import MAX_NAME_LENGTH, InvalidInstanceError, NotExplainableError, Violation
from ondeck_core.explain.field_groups import group_fields, group_value, has_value, mask_unknown_codes
from ondeck_core.explain.plan import AttributionResult, ExplanationQuery, plan, row_budget
from ondeck_core.instances import Matrix, violations
from ondeck_core.tasks import Task
from ondeck_server.inference.predictor import PredictionResult, Predictor
from ondeck_server.models.servable import LoadedVersion, TaskLease


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """How far one field moves the probability; `value` is the value of the instance, None if the field is absent."""

    field: str
    contribution: float
    standard_error: float
    value: float | None

    @property
    def size(self) -> float:
        """The absolute contribution."""
        return abs(self.contribution)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The prediction for one instance, and the contributions to the probability of one outcome, the largest first."""

    prediction: PredictionResult
    outcome: str
    base_rate: float
    probability: float
    contributions: tuple[Contribution, ...]
    exact: bool
    background_rows: int


async def explain(
    predictor: Predictor, lease: TaskLease, instance: Matrix, outcome: str, within: float | None = None
) -> Explanation:
    """Explain the prediction for an instance of shape (1, fields); `outcome` "" selects the most likely one.

    Raises:
        NotExplainableError: the version has no background.
        InvalidInstanceError: the instance is invalid, or the task has no such outcome.
        QueueFullError: too many rows are queued.
        DeadlineUnmeetableError: the explanation takes longer than `within` seconds.
    """
    version, task = lease.version, lease.version.task
    query = _build_query(version, instance)
    _check(task, instance, outcome)
    planned = plan(query, row_budget(len(task.outcomes)))
    result = await predictor.run(lease, planned.rows, within)
    explained = planned.explain(result.probabilities)
    index = task.outcomes.index(outcome) if outcome else int(explained.probabilities.argmax())
    return Explanation(
        prediction=result.first(),
        outcome=task.outcomes[index],
        base_rate=float(explained.base_rates[index]),
        probability=float(explained.probabilities[index]),
        contributions=_contributions(task, query, explained, index),
        exact=planned.is_exact,
        background_rows=planned.background_rows,
    )


def _build_query(version: LoadedVersion, instance: Matrix) -> ExplanationQuery:
    if version.background is None:
        raise NotExplainableError(version.manifest.model, version.manifest.version)
    return ExplanationQuery(
        instance=mask_unknown_codes(version.task.instance, instance),
        background=version.background,
        groups=group_fields(version.task.instance),
        features=version.task.features.compute,
    )


def _check(task: Task, instance: Matrix, outcome: str) -> None:
    found = violations(task.instance, instance, path=task.instance.path, name_rows=False)
    if outcome and outcome not in task.outcomes:
        known = ", ".join(task.outcomes)
        found.append(Violation("outcome", f"must be one of {known}, or empty, got {outcome[:MAX_NAME_LENGTH]!r}"))
    if found:
        raise InvalidInstanceError(found)


def _contributions(
    task: Task, query: ExplanationQuery, explained: AttributionResult, index: int
) -> tuple[Contribution, ...]:
    rows = np.vstack([query.instance, query.background])
    found = (
        Contribution(
            field=group.name,
            contribution=float(explained.contributions[number, index]),
            standard_error=float(explained.standard_errors[number, index]),
            value=group_value(group, task.instance, query.instance[0]),
        )
        for number, group in enumerate(query.groups)
        if has_value(group, rows).any()
    )
    return tuple(sorted(found, key=attrgetter("size"), reverse=True))
