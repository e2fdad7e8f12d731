"""Parity of the ONNX graph with scikit-learn; a graph that differs is not published."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import ModelProto, numpy_helper
from threadpoolctl import threadpool_limits

from ondeck_core.evaluation import Evaluation, scores
from ondeck_core.instances import Matrix
from ondeck_core.manifest import PARITY_FILE, Manifest, Parity
from ondeck_core.tasks import TASKS
from ondeck_registry import repository
from ondeck_registry.alias_log import history
from ondeck_trainer.artifact import publish
from ondeck_trainer.artifact.onnx_export import export
from ondeck_trainer.artifact.parity import ParityError, check_parity, compute_golden_rows
from ondeck_trainer.artifact.published_model import ModelGraph
from ondeck_trainer.data.dataset import Dataset, build_dataset, copy_with_missing_values
from ondeck_trainer.model.ensemble import Ensemble, ParallelFit, fit_calibration, fit_members, pool
from ondeck_trainer.pipeline import PromotionGateError, train
from tests.fixtures.models import SEED, SMALL, small_plan

TASK = TASKS["batted_ball"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def dataset(sample_season: pl.DataFrame) -> Dataset:
    return build_dataset(TASK, sample_season)


@pytest.fixture(scope="module")
def ensemble(dataset: Dataset) -> Ensemble:
    """Return an ensemble in which each kind of member has a weight."""
    rows = (dataset, copy_with_missing_values(dataset, SEED))
    members = fit_members(rows, SMALL, ParallelFit(), print)
    even = dict.fromkeys(members, 1 / len(members))
    features, labels = np.vstack([each.features for each in rows]), np.concatenate([each.labels for each in rows])
    logs = np.stack([member.log_probabilities(features) for member in members.values()], axis=1)
    calibration = fit_calibration(pool(logs, np.array([*even.values()])), labels)
    return Ensemble(members=members, weights=even, calibration=calibration)


@pytest.fixture(scope="module")
def graph(ensemble: Ensemble) -> ModelProto:
    return export(ensemble, len(TASK.features.features), len(TASK.outcomes))


def test_the_graph_equals_the_ensemble_with_and_without_absent_values(
    ensemble: Ensemble, graph: ModelProto, dataset: Dataset
) -> None:
    report = check_parity(ensemble, graph, dataset, seed=1, min_rows=1000)
    assert report.largest_difference <= 1e-5
    assert report.rows_with_nan > report.rows / 6
    assert len(report.worst_row) == len(TASK.features.features)


def test_the_worst_row_of_the_parity_report_differs_by_the_stated_amount(
    ensemble: Ensemble, graph: ModelProto, dataset: Dataset
) -> None:
    report = check_parity(ensemble, graph, dataset, seed=1, min_rows=1000)
    row = np.array([[np.nan if value is None else value for value in report.worst_row]], dtype=np.float32)
    difference = np.abs(ModelGraph(graph.SerializeToString()).probabilities(row) - ensemble.predict(row)).max()
    assert difference == pytest.approx(report.largest_difference, rel=0.5)


def test_the_graph_has_one_input_two_outputs_and_no_dead_node(graph: ModelProto) -> None:
    onnx.checker.check_model(graph, full_check=True)
    assert [value.name for value in graph.graph.input] == ["features"]
    assert [value.name for value in graph.graph.output] == ["probabilities", "members"]
    used = {name for node in graph.graph.node for name in node.input} | {"probabilities", "members"}
    made = {name for node in graph.graph.node for name in node.output if name}
    assert {constant.name for constant in graph.graph.initializer} <= used
    assert all(set(node.output) & used for node in graph.graph.node)
    assert used <= made | {constant.name for constant in graph.graph.initializer} | {"features", ""}


def with_wrong_calibration(graph: ModelProto) -> ModelProto:
    """Return the graph with a calibration so slightly wrong that no metric shows it."""
    other = ModelProto()
    other.CopyFrom(graph)
    bias = next(constant for constant in other.graph.initializer if constant.name == "calibration/bias")
    values = numpy_helper.to_array(bias) + np.array([1e-3, 0, 0, 0, 0], dtype=np.float32)
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return other


def test_a_graph_that_differs_is_refused_with_its_worst_row(
    ensemble: Ensemble, graph: ModelProto, dataset: Dataset
) -> None:
    with pytest.raises(ParityError, match=r"differs from the model by \d\.\d+e-04 .*; worst of [\d,]+ rows: \("):
        check_parity(ensemble, with_wrong_calibration(graph), dataset, seed=1, min_rows=1000)


def test_a_graph_that_differs_is_not_published(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "export", lambda *words: with_wrong_calibration(export(*words)))
    with pytest.raises(ParityError):
        train(dataset, small_plan(tmp_path), print)
    assert repository.versions(tmp_path, TASK.name) == []
    assert not (tmp_path / TASK.name / "aliases.json").exists()


def test_too_few_rows_for_the_parity_check_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    plan = dataclasses.replace(small_plan(tmp_path), parity_rows=20_000)
    with pytest.raises(ParityError, match="rows are too few for the parity check; 20,000 are required"):
        train(dataset, plan, print)


def test_a_version_no_better_than_production_is_published_only_with_force(dataset: Dataset, tmp_path: Path) -> None:
    first = train(dataset, small_plan(tmp_path, force=False), print)
    assert repository.aliases(tmp_path, TASK.name) == {"production": 1}
    with pytest.raises(
        PromotionGateError, match=r"batted_ball is not published: log loss .* \(--force overrides the gate\)"
    ):
        train(dataset, small_plan(tmp_path, force=False), print)
    assert repository.versions(tmp_path, TASK.name) == [1]
    second = train(dataset, small_plan(tmp_path), print)
    assert second.manifest.version == 2
    assert repository.aliases(tmp_path, TASK.name) == {"production": 2}
    earlier, later = history(tmp_path, TASK.name)
    assert (earlier.from_version, later.from_version) == (None, 1)
    assert (earlier.forced, later.forced) == (False, True)
    assert earlier.reason.startswith("trained; no version is in production yet")
    assert later.reason.startswith("trained; forced, although log loss ")
    assert second.evaluation == first.evaluation
    assert second.manifest.digest == first.manifest.digest


def test_a_published_version_verifies(small_repository: Path) -> None:
    for task in TASKS.values():
        folder = small_repository / task.name / "1"
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
        evaluation = Evaluation.model_validate_json((folder / "evaluation.json").read_bytes())
        parity = Parity.model_validate_json((folder / PARITY_FILE).read_bytes())
        card = (folder / "card.md").read_text()
        assert manifest.feature_names == task.features.names
        assert manifest.training.fit_window.last_day < manifest.training.calibration_window.first_day
        assert evaluation.calibration_window.last_day < evaluation.evaluation_window.first_day
        for score in scores(evaluation):
            assert score.accuracy is not None
            assert f"| {score.question} | {score.predictor} |" in card
            assert f"{score.accuracy:.4f}" in card
        assert str(manifest.training.fit_window) in card
        assert str(evaluation.evaluation_window) in card
        assert f"{parity.largest_difference:.1e}" in card


def test_golden_rows_are_valid_and_some_have_absent_values(ensemble: Ensemble) -> None:
    golden = compute_golden_rows(ensemble, TASK)
    rows: Matrix = np.array([[np.nan if v is None else v for v in row] for row in golden.instances], dtype=np.float32)
    half = len(rows) // 2
    given = [name not in {"hc_x", "hc_y"} for name in golden.fields]
    assert not np.isnan(rows[:half, given]).any()
    assert np.isnan(rows[half:, given]).any(axis=1).mean() > 0.3
    np.testing.assert_allclose(np.array(golden.probabilities).sum(axis=1), 1, atol=1e-6)
