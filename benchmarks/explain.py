"""Explaining one instance, in process on one thread: planned, run through the graph in turns, put together."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.rows import ROOT, sample
from ondeck_core.explain.field_groups import parts_of, settled
from ondeck_core.explain.plan import ExplanationPlan, ExplanationQuery, affordable_rows, plan
from ondeck_core.instances import Matrix
from ondeck_core.manifest import ALIASES_FILE, BACKGROUND_FILE, PRODUCTION, Aliases
from ondeck_registry.verification import order_background
from ondeck_server.batching.batcher import ROWS_A_RUN
from ondeck_server.models.loader import LoadedVersion, load

COLUMNS = ("", "p50 ms", "p95 ms", "rows run", "exact", "background rows", "largest standard error, median")
INSTANCES = 200
STAND_IN_ROWS = 24


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What explaining so many instances took; `errors` are the largest standard error of each."""

    millis: list[float]
    plans: list[ExplanationPlan]
    errors: list[float]

    def cells(self) -> tuple[str, ...]:
        """Show it as the table does."""
        p50, p95 = np.percentile(self.millis, [50, 95])
        return (
            f"{p50:.1f}",
            f"{p95:.1f}",
            f"{np.median([len(each.rows) for each in self.plans]):.0f}",
            f"{np.mean([each.exact for each in self.plans]):.0%}",
            f"{np.median([each.background_rows for each in self.plans]):.0f}",
            f"{np.median(self.errors):.4f}",
        )


def measure(models: Path = ROOT / "onnx_models") -> tuple[str, list[tuple[str, ...]]]:
    """Measure the version in production of every model; returns a title and the rows of the table."""
    names = sorted(path.parent.name for path in models.glob(f"*/{ALIASES_FILE}"))
    return "explaining one instance, in process", [_line(models, name) for name in names]


def _line(models: Path, name: str) -> tuple[str, ...]:
    version, instances = explainable(models, name, INSTANCES)
    standing_in = "" if version.manifest.files.get(BACKGROUND_FILE) else ", with a background that stands in"
    return name + standing_in, *explain_each(version, instances).cells()


def explainable(models: Path, name: str, count: int) -> tuple[LoadedVersion, Matrix]:
    """Load the version in production, with a background that stands in if it has none, and so many instances."""
    number = Aliases.model_validate_json((models / name / ALIASES_FILE).read_bytes()).aliases[PRODUCTION]
    version = load(models / name / str(number), name, number)
    drawn = sample(version.task, count + STAND_IN_ROWS).instances
    if version.background is None:
        version = replace(version, background=order_background(drawn[count:], version.task.features))
    return version, drawn[:count]


def explain_each(version: LoadedVersion, instances: Matrix, clock: Callable[[], float] = time.perf_counter) -> Measured:
    """Explain one instance after the other by the clock."""
    millis, plans, errors = [], [], []
    for row in instances:
        begin = clock()
        planned = _planned(version, row[np.newaxis])
        explained = planned.explain(_run(version, planned.rows))
        millis.append((clock() - begin) * 1e3)
        plans.append(planned)
        errors.append(float(explained.standard_errors.max()))
    return Measured(millis=millis, plans=plans, errors=errors)


def _planned(version: LoadedVersion, instance: Matrix) -> ExplanationPlan:
    assert version.background is not None  # noqa: S101  given one above
    question = ExplanationQuery(
        instance=settled(version.task.instance, instance),
        background=version.background,
        parts=parts_of(version.task.instance),
        features=version.task.features.compute,
    )
    return plan(question, affordable_rows(len(version.task.outcomes)))


def _run(version: LoadedVersion, rows: Matrix) -> Matrix:
    return np.vstack([version.probabilities(rows[at : at + ROWS_A_RUN]) for at in range(0, len(rows), ROWS_A_RUN)])
