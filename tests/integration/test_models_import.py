"""`ondeck models import`: any ONNX graph becomes a version."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from ondeck_core.errors import ArtifactRefusedError, OndeckError
from ondeck_core.manifest import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, GraphGolden
from ondeck_registry.import_onnx import UnservableGraphError, publish_graph
from ondeck_registry.repository import aliases, read_any_manifest, read_manifest, versions
from ondeck_server.models.servable import load_any
from tests.factories.onnx_graphs import WIDTH, batch_dependent_graph, fixed_batch_graph, scoring_graph, single_row_graph


def ondeck(*words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", "models", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def test_an_imported_graph_becomes_the_next_version_with_its_inputs_and_outputs(tmp_path: Path) -> None:
    graph, models = tmp_path / "scoring.onnx", tmp_path / "models"
    graph.write_bytes(scoring_graph())
    first = ondeck("import", "my-scores", str(graph), "--model-repository", str(models))
    assert first.stdout.splitlines() == [
        f"my_scores version 1: inputs x FP32 [-1, {WIDTH}]",
        "outputs probabilities FP32 [-1, 2], label INT64 [-1], scores FP32 [-1, 2]",
    ]
    words = ("--output", "probabilities", "--alias", "production", "--reason", "fewer outputs")
    second = ondeck("import", "my_scores", str(graph), "--model-repository", str(models), *words)
    assert second.stdout.splitlines() == [
        f"my_scores version 2: inputs x FP32 [-1, {WIDTH}]",
        "outputs probabilities FP32 [-1, 2]",
        "my_scores: production is version 2",
    ]
    assert (versions(models, "my_scores"), aliases(models, "my_scores")) == ([1, 2], {"production": 2})
    assert ondeck("verify", "--model-repository", str(models)).stdout == "my_scores 1 passes\nmy_scores 2 passes\n"
    listed = json.loads(ondeck("list", "--json", "--model-repository", str(models)).stdout)
    assert [(each["version"], each["reason"], len(each["digest"])) for each in listed] == [(1, None, 64), (2, None, 64)]


def test_an_imported_graph_is_promoted_without_the_gate(tmp_path: Path) -> None:
    for _ in range(2):
        publish_graph(tmp_path, "scores", scoring_graph())
    for version in (1, 2):
        done = ondeck("promote", "scores", str(version), "--model-repository", str(tmp_path))
        assert done.returncode == 0, done.stderr
    assert aliases(tmp_path, "scores") == {"production": 2}


def test_golden_rows_of_an_import_hold_its_own_outputs(tmp_path: Path) -> None:
    manifest = publish_graph(tmp_path, "scores", scoring_graph())
    golden = GraphGolden.model_validate_json((tmp_path / "scores" / "1" / GOLDEN_FILE).read_bytes())
    loaded = load_any(tmp_path / "scores" / "1", "scores", 1)
    probabilities = loaded.session.infer(np.array(golden.rows, dtype=np.float32))[0]
    np.testing.assert_allclose(np.array(golden.outputs["probabilities"], np.float64), probabilities, atol=1e-6)
    assert golden.answers == "the graph's own"
    assert set(manifest.files) == {MODEL_FILE, GOLDEN_FILE}


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (fixed_batch_graph(), "rows free"),
        (single_row_graph(), "rows must come first"),
        (batch_dependent_graph(), "one at a time"),
        (b"no graph", "is not a graph that can be run"),
    ],
)
def test_a_graph_whose_rows_cannot_share_a_run_is_refused(tmp_path: Path, graph: bytes, message: str) -> None:
    with pytest.raises(OndeckError, match=message):
        publish_graph(tmp_path, "scores", graph)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "outputs", "message"),
    [
        ("Scores!", (), "invalid model name"),
        ("batted_ball", (), "choose another name"),
        ("scores", ("classes",), "has no output classes; it has label, scores, probabilities"),
    ],
)
def test_an_invalid_model_name_is_refused(tmp_path: Path, name: str, outputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnservableGraphError, match=message):
        publish_graph(tmp_path, name, scoring_graph(), outputs)


def test_a_graph_with_other_outputs_than_its_golden_rows_is_not_loaded(tmp_path: Path) -> None:
    publish_graph(tmp_path, "scores", scoring_graph())
    folder = tmp_path / "scores" / "1"
    golden = GraphGolden.model_validate_json((folder / GOLDEN_FILE).read_bytes())
    moved = golden.outputs["probabilities"][::-1]
    changed = golden.model_copy(update={"outputs": golden.outputs | {"probabilities": moved}})
    (folder / GOLDEN_FILE).write_text(changed.model_dump_json())
    with pytest.raises(ArtifactRefusedError, match="SHA-256"):
        load_any(folder, "scores", 1)
    sign_again(folder)
    with pytest.raises(ArtifactRefusedError, match="golden rows differ"):
        load_any(folder, "scores", 1)


def sign_again(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][GOLDEN_FILE] = hashlib.sha256((folder / GOLDEN_FILE).read_bytes()).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def test_a_typed_request_to_an_imported_graph_is_refused(tmp_path: Path) -> None:
    publish_graph(tmp_path, "scores", scoring_graph())
    folder = tmp_path / "scores" / "1"
    assert read_any_manifest(folder, "scores", 1).model == "scores"
    with pytest.raises(ArtifactRefusedError, match="only the Open Inference Protocol serves it"):
        read_manifest(folder, "scores", 1)


def save_with_weights_beside(folder: Path, *, one_file: bool = True, location: str | None = None) -> Path:
    """Save the scoring graph as PyTorch and ONNX do, with its weights in files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(
        onnx.load_model_from_string(scoring_graph()),
        folder / "graph.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=one_file,
        location=location,
        size_threshold=0,
    )
    return folder / "graph.onnx"


@pytest.mark.parametrize(
    ("one_file", "location"), [(True, None), (True, "weights.bin"), (True, "w/weights.bin"), (False, None)]
)
def test_weights_beside_a_graph_are_published_inside_of_it(
    tmp_path: Path,
    one_file: bool,  # noqa: FBT001  a case
    location: str | None,
) -> None:
    (tmp_path / "export" / "w").mkdir(parents=True)
    graph, models = (
        save_with_weights_beside(tmp_path / "export", one_file=one_file, location=location),
        tmp_path / "models",
    )
    (file,) = (path for path in (tmp_path / "export").rglob("*") if path.is_file() and path != graph)
    first = ondeck("import", "scores", str(graph), "--model-repository", str(models), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    name = str(file.relative_to(tmp_path / "export"))
    assert f"weights of {name} are in the graph file" in first.stdout.splitlines()
    second = ondeck("import", "scores", "graph.onnx", "--model-repository", str(models), cwd=tmp_path / "export")
    assert second.returncode == 0, second.stderr
    shutil.rmtree(tmp_path / "export")
    for folder in (tmp_path, models / "scores" / "1", Path("/")):
        done = ondeck("verify", "--model-repository", str(models), cwd=folder)
        assert (done.returncode, done.stdout) == (0, "scores 1 passes\nscores 2 passes\n")
    assert {each.name for each in (models / "scores" / "1").iterdir()} == {MODEL_FILE, GOLDEN_FILE, MANIFEST_FILE}
    publish_graph(models, "inside", scoring_graph())
    outputs = [
        load_any(models / model / "1", model, 1).session.infer(np.eye(4, dtype=np.float32))
        for model in ("scores", "inside")
    ]
    np.testing.assert_array_equal(outputs[0][0], outputs[1][0])


def test_a_graph_without_its_weights_is_refused_and_nothing_is_published(tmp_path: Path) -> None:
    graph = save_with_weights_beside(tmp_path / "export", location="weights.bin")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "export" / "weights.bin").rename(elsewhere / "weights.bin")
    words = ("import", "scores", str(graph), "--model-repository", str(tmp_path / "models"), "--alias", "production")
    for folder in (elsewhere, tmp_path):  # the first has a file of this name, which is not beside the graph
        done = ondeck(*words, cwd=folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "error: the graph keeps weights in the file 'weights.bin', which is missing: put it beside the graph, or "
            "export the graph again with its weights inside, as onnx.save_model does by default\n"
        )
    assert not (tmp_path / "models").exists()


def test_the_limit_of_a_graph_with_its_weights_can_be_set(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(scoring_graph())
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(600_000, np.float32), "unused"))
    graph = tmp_path / "large.onnx"
    whole = tmp_path / "whole.onnx"
    onnx.save_model(model, whole)
    onnx.save_model(model, graph, save_as_external_data=True, location="large.bin", size_threshold=0)
    words = ("import", "large", str(graph), "--model-repository", str(tmp_path / "models"), "--max-graph-mib")
    for file in (graph, whole):
        assert ondeck(*words[:2], str(file), *words[3:], "2").stderr == (
            "error: the graph with its weights is larger than the limit of 2 MiB; --max-graph-mib sets another one, up "
            "to 2047\n"
        )
    assert ondeck(*words, "3").returncode == 0
