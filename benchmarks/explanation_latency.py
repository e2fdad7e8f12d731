"""Explaining one instance, in process on one thread: plan, run the graph in batches, attribute."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.input_rows import sample
from benchmarks.production_lookup import MODELS, load_production
from benchmarks.workload_sizes import Scale
from ondeck_core.explain.field_groups import group_fields, mask_unknown_codes
from ondeck_core.explain.plan import ExplanationPlan, ExplanationQuery, plan, row_budget
from ondeck_core.instances import Matrix
from ondeck_core.manifest import BACKGROUND_FILE
from ondeck_registry.repository import read_repository
from ondeck_registry.verification import order_background
from ondeck_server.batching.batcher import MAX_BATCH_ROWS
from ondeck_server.models.servable import LoadedVersion

COLUMNS = ("", "p50 ms", "p95 ms", "rows run", "exact", "background rows", "largest standard error, median")
SUBSTITUTE_ROWS = 24  # of a background, for a version that has none


@dataclass(frozen=True, kw_only=True)
class ExplanationTimes:
    """Latency and plan of each explanation; `errors` are the largest standard error of each."""

    millis: list[float]
    plans: list[ExplanationPlan]
    errors: list[float]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table row."""
        p50, p95 = np.percentile(self.millis, [50, 95])
        return (
            f"{p50:.1f}",
            f"{p95:.1f}",
            f"{np.median([len(each.rows) for each in self.plans]):.0f}",
            f"{np.mean([each.is_exact for each in self.plans]):.0%}",
            f"{np.median([each.background_rows for each in self.plans]):.0f}",
            f"{np.median(self.errors):.4f}",
        )


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure the version in production of every model; returns a title and the rows of the table."""
    models = [entry.model for entry in read_repository(MODELS)]
    return "explaining one instance, in process", [_line(model, scale) for model in models]


def _line(model: str, scale: Scale) -> tuple[str, ...]:
    version, instances = load_explainable(MODELS, model, scale.explained, prefer_real=scale.uses_real_rows)
    note = "" if version.manifest.files.get(BACKGROUND_FILE) else ", with a substitute background"
    return model + note, *explain_each(version, instances).cells()


def load_explainable(models: Path, model: str, count: int, *, prefer_real: bool = True) -> tuple[LoadedVersion, Matrix]:
    """Load the version in production, with a substitute background if it has none, and `count` instances."""
    version = load_production(models, model)
    instances = sample(version.task, count + SUBSTITUTE_ROWS, prefer_real=prefer_real).instances
    if version.background is None:
        version = replace(version, background=order_background(instances[count:], version.task.features))
    return version, instances[:count]


def explain_each(
    version: LoadedVersion, instances: Matrix, clock: Callable[[], float] = time.perf_counter
) -> ExplanationTimes:
    """Explain one instance after the other and time each with `clock`, in seconds."""
    millis, plans, errors = [], [], []
    for row in instances:
        begin = clock()
        planned = _plan(version, row[np.newaxis])
        explained = planned.explain(_run(version, planned.rows))
        millis.append((clock() - begin) * 1e3)
        plans.append(planned)
        errors.append(float(explained.standard_errors.max()))
    return ExplanationTimes(millis=millis, plans=plans, errors=errors)


def _plan(version: LoadedVersion, instance: Matrix) -> ExplanationPlan:
    assert version.background is not None  # noqa: S101  load_explainable gives one
    query = ExplanationQuery(
        instance=mask_unknown_codes(version.task.instance, instance),
        background=version.background,
        groups=group_fields(version.task.instance),
        features=version.task.features.compute,
    )
    return plan(query, row_budget(len(version.task.outcomes)))


def _run(version: LoadedVersion, rows: Matrix) -> Matrix:
    return np.vstack(
        [version.predict_proba(rows[at : at + MAX_BATCH_ROWS]) for at in range(0, len(rows), MAX_BATCH_ROWS)]
    )
