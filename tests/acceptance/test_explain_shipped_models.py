"""Explanations by the shipped models: duration, and accuracy of the sampled permutations."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.explanation_latency import explain_each, load_explainable
from ondeck_core.explain.field_groups import group_fields, mask_unknown_codes
from ondeck_core.explain.plan import ExplanationQuery, plan, row_budget
from ondeck_core.tasks import TASKS

LONGEST_MS = 60
FAR_MORE_ROWS = 10_000
NEGLIGIBLE = 5e-4


@pytest.mark.parametrize("name", TASKS)
def test_explaining_one_instance_takes_at_most_60_ms_of_one_core(root: Path, name: str) -> None:
    version, instances = load_explainable(root / "onnx_models", name, 60)
    explain_each(version, instances[:3])
    measured = explain_each(version, instances, clock=time.process_time)  # CPU time of this process
    assert np.percentile(measured.millis, 95) <= LONGEST_MS


@pytest.mark.parametrize("name", TASKS)
def test_many_more_orders_agree_within_the_standard_errors(root: Path, name: str) -> None:
    version, instances = load_explainable(root / "onnx_models", name, 6)
    assert version.background is not None
    misses = []
    for row in instances:
        query = ExplanationQuery(
            instance=mask_unknown_codes(version.task.instance, row[np.newaxis]),
            background=version.background,
            groups=group_fields(version.task.instance),
            features=version.task.features.compute,
        )
        usual = plan(query, row_budget(len(version.task.outcomes)))
        same_base = replace(query, background=query.background[np.unique(usual.estimator.starts)])
        thorough = plan(same_base, FAR_MORE_ROWS)
        found, nearer = (each.explain(version.predict_proba(each.rows)) for each in (usual, thorough))
        np.testing.assert_allclose(found.contributions.sum(axis=0), found.probabilities - found.base_rates, atol=1e-9)
        error = np.hypot(found.standard_errors, nearer.standard_errors) + NEGLIGIBLE
        misses.append(np.abs(found.contributions - nearer.contributions) / error)
    assert np.mean(np.concatenate(misses) <= 2) >= 0.9
    assert np.concatenate(misses).max() < 6
