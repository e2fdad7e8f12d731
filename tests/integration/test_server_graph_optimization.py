"""The server says which rewrites of each version serve; its answers and the files of the version stay the same."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from inference.grpc_service_pb2 import ModelInferRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.onnx_session import open_graph
from ondeck_registry.repository import read_any_manifest
from ondeck_registry.version_optimizer import Optimization
from ondeck_server.ipc.messages import LoadLimits, TrialRequest, TrialResult
from ondeck_server.models.repository_reader import RepositoryVersion
from ondeck_server.models.servable import load_manifest
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.load_trials import TrialProcess
from ondeck_server.worker.main import TrialClient
from tests.factories.fitted_graphs import COLUMNS, fitted_graph
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import serving


@pytest.fixture
def models(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    publish_graph(models, "vote", fitted_graph("vote"), ["probabilities"])
    publish_graph(models, "far", fitted_graph("logistic", 3e5), ["probabilities"])
    publish_graph(models, "plain", scoring_graph())
    return models


@pytest.fixture
def rows() -> Matrix:
    random = np.random.default_rng(12)
    return random.standard_normal((40, COLUMNS)).astype(np.float32)


def infer(target: str, model: str, rows: Matrix) -> Matrix:
    request = ModelInferRequest(model_name=model, raw_input_contents=[rows.tobytes()])
    request.inputs.add(name="X", datatype="FP32", shape=rows.shape)
    request.outputs.add(name="probabilities")
    with grpc.insecure_channel(target) as channel:
        stub: Any = GRPCInferenceServiceStub(channel)
        response = stub.ModelInfer(request, timeout=10)
    return np.frombuffer(response.raw_output_contents[0], dtype=np.float32).reshape(len(rows), -1)


def events(log: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return the log lines of an event by model."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return {line["model"]: line for line in lines if line["event"] == name}


def test_the_log_names_the_rewrites_that_serve_and_those_that_do_not(models: Path, rows: Matrix) -> None:
    log = models.parent / "log"
    shipped = {name: (models / name / "1" / MODEL_FILE).read_bytes() for name in ("vote", "far", "plain")}
    with serving(models, log=log) as server:
        served = {name: infer(server.target, name, rows) for name in ("vote", "far")}
    loaded, rejected = events(log, "version_loaded"), events(log, "optimization_rejected")
    assert loaded["vote"]["rewrites"] == "drop_unused,sum_classifiers,fold_scalers"
    assert {loaded[name]["rewrites"] for name in ("far", "plain")} == {"none"}
    assert set(rejected) == {"far"}
    assert rejected["far"]["reason"].startswith("probabilities would differ by ")
    for name, answer in served.items():
        expected = open_graph(shipped[name]).run(["probabilities"], {"X": rows})[0]
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)
        assert (models / name / "1" / MODEL_FILE).read_bytes() == shipped[name]


def test_a_setting_leaves_all_graphs_as_shipped(models: Path) -> None:
    log = models.parent / "log"
    with serving(models, log=log, optimize_graphs=False):
        pass
    assert {each["rewrites"] for each in events(log, "version_loaded").values()} == {"none"}
    assert not events(log, "optimization_rejected")


async def try_twice(models: Path) -> list[TrialResult]:
    """Return the results of two trials of the model `vote`."""
    folder = models / "vote" / "1"
    manifest = read_any_manifest(folder, "vote", 1)
    request = TrialRequest(
        key="vote",
        graph=manifest.digest,
        folder=str(folder),
        manifest=manifest.model_dump_json(),
        optimized_file=str(models.parent / "optimized.onnx"),
    )
    process = TrialProcess(LoadLimits(cpu_seconds=30, memory_mib=1024), DescriptorReserve())
    results = [await process.run(request) for _ in range(2)]
    await process.end()
    return results


async def test_a_version_runs_the_graph_that_its_trial_stores(models: Path, rows: Matrix) -> None:
    folder = models / "vote" / "1"
    manifest = read_any_manifest(folder, "vote", 1)
    results = await try_twice(models)
    assert results[0] == results[1]
    graph = Path(results[0].optimized_file).read_bytes()
    loaded = load_manifest(folder, manifest, Optimization(graph=graph, rewrites=results[0].rewrites))
    assert loaded.optimization.graph is None  # only the session keeps it
    assert loaded.manifest.digest == manifest.digest
    expected = open_graph(graph).run(["probabilities"], {"X": rows})[0]
    assert np.array_equal(loaded.session.infer(rows)[0], expected)


async def test_a_worker_runs_no_optimized_graph_that_has_changed_since_its_trial(models: Path) -> None:
    folder = models / "vote" / "1"
    found = RepositoryVersion(stamp=(), manifest=read_any_manifest(folder, "vote", 1))
    result = (await try_twice(models))[0]
    graph = Path(result.optimized_file).read_bytes()
    assert result.optimized_digest == sha256(graph).hexdigest()

    async def optimization() -> Optimization:
        client = TrialClient(lambda sent: client.resolve(result.model_copy(update={"key": sent.key})))
        return await client.run(folder, found)

    assert await optimization() == Optimization(graph=graph, rewrites=result.rewrites)
    for changed in (graph[:-1], graph + b"\0", bytes(len(graph)), b""):
        Path(result.optimized_file).write_bytes(changed)
        assert await optimization() == Optimization(
            rejected="the file of the optimized graph has changed since its trial"
        )
    Path(result.optimized_file).unlink()
    assert (await optimization()).rejected.startswith("the optimized graph cannot be read: ")
