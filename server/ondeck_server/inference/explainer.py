"""Why a version says what it says: the rows that a plan asks for, run as any others, and what follows from them."""

from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from ondeck_core.errors import LONGEST_NAME, InvalidInstanceError, NotExplainableError, Violation
from ondeck_core.explain.field_groups import group_fields, group_value, has_value, mask_unknown_codes
from ondeck_core.explain.plan import AttributionResult, ExplanationQuery, plan, row_budget
from ondeck_core.instances import Matrix, violations
from ondeck_core.tasks import Task
from ondeck_server.inference.predictor import PredictionResult, Predictor
from ondeck_server.models.servable import LoadedVersion, TaskLease


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """How far one field moved the probability; `value` is what the instance says of it, None where it is absent."""

    field: str
    contribution: float
    standard_error: float
    value: float | None

    @property
    def size(self) -> float:
        """How far, in whichever direction."""
        return abs(self.contribution)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """An answer to one instance, and why one of its outcomes is as likely as it is; contributions by size."""

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
    """Explain an instance of shape (1, fields) by a version; `outcome` "" is the likeliest.

    Raises:
        NotExplainableError: the version has no background.
        InvalidInstanceError: the instance cannot be asked about, or the task has no such outcome.
        QueueFullError: too many rows wait already.
        DeadlineUnmeetableError: what it takes to explain takes longer than `within` so many seconds.
    """
    version, task = lease.version, lease.version.task
    question = _question(version, instance)
    _check(task, instance, outcome)
    planned = plan(question, row_budget(len(task.outcomes)))
    ran = await predictor.run(lease, planned.rows, within)
    explained = planned.explain(ran[0])
    asked = task.outcomes.index(outcome) if outcome else int(explained.probabilities.argmax())
    return Explanation(
        prediction=predictor.finish(lease, instance, [part[:1] for part in ran]),
        outcome=task.outcomes[asked],
        base_rate=float(explained.base_rates[asked]),
        probability=float(explained.probabilities[asked]),
        contributions=_contributions(task, question, explained, asked),
        exact=planned.is_exact,
        background_rows=planned.background_rows,
    )


def _question(version: LoadedVersion, instance: Matrix) -> ExplanationQuery:
    if version.background is None:
        raise NotExplainableError(version.manifest.model, version.manifest.version)
    return ExplanationQuery(
        instance=mask_unknown_codes(version.task.instance, instance),
        background=version.background,
        groups=group_fields(version.task.instance),
        features=version.task.features.compute,
    )


def _check(task: Task, instance: Matrix, outcome: str) -> None:
    wrong = violations(task.instance, instance, path=task.instance.path, rows_named=False)
    if outcome and outcome not in task.outcomes:
        there_are = ", ".join(task.outcomes)
        wrong.append(Violation("outcome", f"must be one of {there_are}, or empty, got {outcome[:LONGEST_NAME]!r}"))
    if wrong:
        raise InvalidInstanceError(wrong)


def _contributions(
    task: Task, question: ExplanationQuery, explained: AttributionResult, asked: int
) -> tuple[Contribution, ...]:
    rows = np.vstack([question.instance, question.background])
    found = (
        Contribution(
            field=group.name,
            contribution=float(explained.contributions[number, asked]),
            standard_error=float(explained.standard_errors[number, asked]),
            value=group_value(group, task.instance, question.instance[0]),
        )
        for number, group in enumerate(question.groups)
        if has_value(group, rows).any()
    )
    return tuple(sorted(found, key=attrgetter("size"), reverse=True))
