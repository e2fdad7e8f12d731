"""One bad version is one bad version: every other model of the repository is loaded, updated and served."""

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from inference.grpc_service_pb2 import ModelInferRequest, ModelReadyRequest, RepositoryIndexRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck.v1.model_service_pb2 import ListAliasChangesRequest, ListModelsRequest, ModelState, MoveAliasRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck_core.manifest import ALIASES_FILE, MANIFEST_FILE
from ondeck_registry.alias_log import PENDING_FILE
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.atomic_files import LOCK_FILE, exclusive_lock
from ondeck_registry.import_onnx import publish_graph
from tests.factories.broken_repositories import (
    ALIAS_FAULTS,
    VERSION_FAULTS,
    add_invalid_names,
    break_every_way,
    copy_model,
    lease,
)
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import RunningServer, serving

GOOD: Final = "good"
START_SECONDS: Final = 20  # 10 on an idle machine
NOTICE_SECONDS: Final = 10
REFUSED: Final = ModelState.MODEL_STATE_REFUSED
LOADED: Final = ModelState.MODEL_STATE_LOADED


def decision() -> AliasDecision:
    return AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC))


def publish(models: Path, name: str) -> Path:
    manifest = publish_graph(models, name, scoring_graph())
    move_alias(models, name, "production", manifest.version, decision())
    return models / name


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a repository of one good model."""
    publish(tmp_path / "models", GOOD)
    return tmp_path / "models"


def infer(channel: grpc.Channel, model: str) -> str:
    """Run a model; return the version that served."""
    request = ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([1.0, 2.0, 3.0, 4.0])
    return str(GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10).model_version)


def listed(channel: grpc.Channel) -> dict[tuple[str, int], Any]:
    models = ModelServiceStub(channel).ListModels(ListModelsRequest(), timeout=10).models
    return {(each.name, each.version): each for each in models}


def health(channel: grpc.Channel, name: str) -> int:
    stub: Any = HealthStub(channel)
    return int(stub.Check(HealthCheckRequest(service=name), timeout=10).status)


def wait_until(condition: Any, seconds: float = NOTICE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_cold_start_serves_what_is_good_beside_every_fault(models: Path, tmp_path: Path) -> None:
    break_every_way(models, models / GOOD)
    add_invalid_names(models, models / GOOD)
    begin = time.monotonic()
    with serving(models, log=tmp_path / "log", repository_poll_seconds=0.5) as server:
        assert time.monotonic() - begin < START_SECONDS
        with grpc.insecure_channel(server.target) as channel:
            assert infer(channel, GOOD) == "1"
            entries = listed(channel)
            assert entries[GOOD, 1].state == LOADED
            assert infer(channel, "huge_numbers") == "1"
            for name in ALIAS_FAULTS:
                assert (entries[name, 0].state, bool(entries[name, 0].state_reason)) == (REFUSED, True), name
                assert health(channel, f"models/{name}") == HealthCheckResponse.NOT_SERVING
            for name in VERSION_FAULTS:
                entry = entries[name, 0 if name == "version_loop" else 1]
                assert (entry.state, bool(entry.state_reason)) == (REFUSED, True), name
            reasons = [each.state_reason for each in entries.values()]
            assert all(len(each) <= 2100 and each.isprintable() for each in reasons)
            assert all(each.isprintable() and len(each) < 600 for each, _ in entries)
            assert "the highest number is 4294967295" in entries["huge_numbers", 0].state_reason
            index = GRPCInferenceServiceStub(channel).RepositoryIndex(RepositoryIndexRequest(), timeout=10).models
            assert {each.name for each in index} == {name for name, _ in entries}
            publish(models, GOOD)
            wait_until(lambda: infer(channel, GOOD) == "2")
            assert server.process.poll() is None
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text
    assert "model_rejected" in text
    assert "\x1b[31m" not in text


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunningServer, grpc.Channel]]:
    """Run a server with one good model, and a healthy model for each fault."""
    models = tmp_path_factory.mktemp("live") / "models"
    publish(models, GOOD)
    for name in (*ALIAS_FAULTS, *VERSION_FAULTS, "leased"):
        copy_model(models / GOOD, models / name)
    with serving(models, repository_poll_seconds=0.5) as server, grpc.insecure_channel(server.target) as channel:
        yield models, server, channel


@pytest.mark.parametrize("name", [*ALIAS_FAULTS, *VERSION_FAULTS])
def test_a_fault_that_appears_is_reported_while_all_models_serve_and_update(
    live: tuple[Path, RunningServer, grpc.Channel], name: str
) -> None:
    models, server, channel = live
    {**ALIAS_FAULTS, **VERSION_FAULTS}[name](models / name)
    wait_until(lambda: any(each.state_reason for (model, _), each in listed(channel).items() if model == name))
    assert infer(channel, name) == "1"  # as it was loaded
    before = int(infer(channel, GOOD))
    publish(models, GOOD)
    wait_until(lambda: infer(channel, GOOD) == str(before + 1))
    assert server.process.poll() is None


def test_a_leased_manifest_holds_up_nothing_and_is_read_once_the_lease_ends(
    live: tuple[Path, RunningServer, grpc.Channel],
) -> None:
    models, _, channel = live
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel reports each attempt to open the file
    folder = models / "leased"
    shutil.copytree(folder / "1", folder / ".new")
    manifest = folder / ".new" / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    held = lease(manifest)
    try:
        (folder / ".new").rename(folder / "2")
        wait_until(
            lambda: "manifest.json cannot be read" in getattr(listed(channel).get(("leased", 2)), "state_reason", "")
        )
        assert infer(channel, "leased") == "1"
    finally:
        os.close(held)
    wait_until(lambda: listed(channel)["leased", 2].state == LOADED)


def test_aliases_are_followed_again_once_they_can_be_read(models: Path) -> None:
    with serving(models, repository_poll_seconds=0.5) as server, grpc.insecure_channel(server.target) as channel:
        publish_graph(models, GOOD, scoring_graph())
        good = (models / GOOD / ALIASES_FILE).read_text()
        (models / GOOD / ALIASES_FILE).write_text("{")
        wait_until(lambda: (GOOD, 0) in listed(channel))
        assert infer(channel, GOOD) == "1"
        (models / GOOD / ALIASES_FILE).write_text(good.replace("1", "2"))
        wait_until(lambda: infer(channel, GOOD) == "2")
        assert (GOOD, 0) not in listed(channel)
        assert GRPCInferenceServiceStub(channel).ModelReady(ModelReadyRequest(name=GOOD), timeout=10).ready


def test_waiting_for_a_lock_holds_up_no_reader(live: tuple[Path, RunningServer, grpc.Channel]) -> None:
    models, _, channel = live
    stub = ModelServiceStub(channel)
    request = MoveAliasRequest(model="leased", alias="spare", version=1, reason="a test")
    with exclusive_lock(models / "leased"):
        assert stat.S_IMODE((models / "leased" / LOCK_FILE).stat().st_mode) == 0o600
        waiting = [stub.MoveAlias.future(request, timeout=60) for _ in range(40)]
        time.sleep(0.5)
        before = int(infer(channel, GOOD))
        publish(models, GOOD)
        wait_until(lambda: infer(channel, GOOD) == str(before + 1))
        assert len(stub.ListAliasChanges(ListAliasChangesRequest(model="leased"), timeout=5).changes) == 1
        assert not any(each.done() for each in waiting)
    assert sum(each.result().HasField("change") for each in waiting) == 1


def test_a_change_that_cannot_be_written_is_unavailable(live: tuple[Path, RunningServer, grpc.Channel]) -> None:
    models, _, channel = live
    pending = models / "leased" / f"{PENDING_FILE}.new"
    pending.mkdir()
    request = MoveAliasRequest(model="leased", alias="other", version=1, reason="a test")
    with pytest.raises(grpc.RpcError) as raised:
        ModelServiceStub(channel).MoveAlias(request, timeout=10)
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    pending.rmdir()
    os.mkfifo(pending)  # as left by another program; a write would wait for a reader
    assert ModelServiceStub(channel).MoveAlias(request, timeout=10).HasField("change")
