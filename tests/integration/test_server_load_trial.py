"""A graph is loaded and warmed up under limits of time and memory before a worker takes it."""

import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest

from ondeck.v1.model_service_pb2 import ListModelsRequest, ModelState
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.repository import read_any_manifest
from ondeck_server.models.load_trial import LoadLimits, LoadTrial
from tests.factories.broken_repositories import replace_graph
from tests.factories.onnx_graphs import bulky_graph, endless_graph, scoring_graph
from tests.fixtures.server import serving

GIB: Final = 1 << 30
BULKY: Final = bulky_graph(elements=GIB)  # 4 GiB


def publish(models: Path, name: str, graph: bytes) -> Path:
    publish_graph(models, name, scoring_graph())
    replace_graph(models / name / "1", graph)
    return models / name / "1"


def test_endless_and_bulky_graphs_hold_up_no_other_model(tmp_path: Path) -> None:
    models, log = tmp_path / "models", tmp_path / "log"
    publish(models, "bulky", BULKY)
    publish(models, "endless", endless_graph())
    publish_graph(models, "scores", scoring_graph())
    begin = time.monotonic()
    with serving(models, log=log, load_cpu_seconds=2, load_memory_mib=1024) as server:
        assert time.monotonic() - begin < 25  # 10 on an idle machine
        with grpc.insecure_channel(server.target) as channel:
            stub: Any = ModelServiceStub(channel)
            entries = {each.name: each for each in stub.ListModels(ListModelsRequest(), timeout=10).models}
            workers = psutil.Process(server.process.pid).children()
            peak = max(each.memory_info().rss for each in workers)
    assert entries["scores"].state == ModelState.MODEL_STATE_LOADED
    assert entries["endless"].state_reason == "its load takes more than 2 seconds of CPU time"
    assert entries["bulky"].state == ModelState.MODEL_STATE_REFUSED
    assert peak < GIB
    text = log.read_text()
    assert text.count("version_rejected") == 2  # what failed is not tried again
    assert "Traceback" not in text


@pytest.fixture
def good(tmp_path: Path) -> Path:
    publish_graph(tmp_path, "scores", scoring_graph())
    return tmp_path / "scores" / "1"


def run(trial: LoadTrial, folder: Path) -> None:
    trial.run(folder, read_any_manifest(folder, folder.parent.name, 1))


def test_a_process_that_ends_refuses_its_version_and_no_later_one(good: Path, tmp_path: Path) -> None:
    endless = publish(tmp_path, "endless", endless_graph())
    trial = LoadTrial(LoadLimits(cpu_seconds=30, memory_mib=1024))
    for number in (signal.SIGSEGV, signal.SIGKILL):
        run(trial, good)
        child = trial._child
        assert child is not None
        threading.Timer(0.5, child.send_signal, [number]).start()
        with pytest.raises(ArtifactRefusedError, match=number.name):
            run(trial, endless)
    run(trial, good)
    trial.close()
    assert trial._child is None


def test_a_process_that_cannot_be_started_is_no_fault_of_the_version(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    trial = LoadTrial(LoadLimits(cpu_seconds=30, memory_mib=1024))
    with pytest.raises(ArtifactRefusedError, match="no process to load it can be started"):
        run(trial, good)


def test_the_limits_count_from_the_present_use(good: Path) -> None:
    trial = LoadTrial(LoadLimits(cpu_seconds=1, memory_mib=128))
    end = time.monotonic() + 4
    while time.monotonic() < end:
        run(trial, good)
    trial.close()
