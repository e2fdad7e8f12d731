"""A repository whose file system does not answer: loaded versions serve, log and metric show it."""

import json
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from inference.grpc_service_pb2 import ModelInferRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck.v1.model_service_pb2 import ListAliasChangesRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.import_onnx import publish_graph
from tests.factories.onnx_graphs import scoring_graph
from tests.factories.unanswered_mount import UnansweredMount, can_mount
from tests.fixtures.server import RunningServer, serving
from tests.integration.test_server_start_and_shutdown import page

pytestmark = pytest.mark.skipif(not can_mount(), reason="needs FUSE, and the right to mount")

GOOD: Final = "good"
NOTICE_SECONDS: Final = 10
POLL_SECONDS: Final = 0.3
AGE: Final = "ondeck_repository_read_age_seconds"
CALL_SECONDS: Final = 2


def publish(models: Path) -> None:
    manifest = publish_graph(models, GOOD, scoring_graph())
    decision = AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC))
    move_alias(models, GOOD, "production", manifest.version, decision)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a repository of one good model, and a folder to mount on."""
    publish(tmp_path / "models")
    (tmp_path / "models" / "mounted").mkdir()
    return tmp_path / "models"


def served_version(channel: grpc.Channel) -> str:
    """Run the model; return the version that served, which also has the health status SERVING."""
    request = ModelInferRequest(model_name=GOOD)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend([1.0, 2.0, 3.0, 4.0])
    health: Any = HealthStub(channel)
    assert health.Check(HealthCheckRequest(), timeout=CALL_SECONDS).status == HealthCheckResponse.SERVING
    return str(GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=CALL_SECONDS).model_version)


def read_age(server: RunningServer) -> float:
    lines = page(f"{server.admin}/metrics")[1].splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{AGE} ")), 0.0)


def wait_until(condition: Callable[[], bool], seconds: float = NOTICE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_loaded_versions_serve_while_the_file_system_does_not_answer(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        serving(models, log=log, repository_poll_seconds=POLL_SECONDS) as server,
        grpc.insecure_channel(server.target) as channel,
        UnansweredMount(models / "mounted") as mount,
    ):
        wait_until(lambda: "repository_read_stalled" in log.read_text())
        wait_until(lambda: read_age(server) > 3)
        publish(models)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert served_version(channel) == "1"
        assert page(f"{server.admin}/readyz")[0] == 200
        assert "repository_read_resumed" not in log.read_text()
        mount.fail()
        wait_until(lambda: served_version(channel) == "2")
        assert "repository_read_resumed" in log.read_text()
        wait_until(lambda: read_age(server) < 3)
    assert log.read_text().count("repository_read_stalled") == 1


def test_a_server_stops_while_the_file_system_does_not_answer(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        serving(models, log=log, repository_poll_seconds=POLL_SECONDS) as server,
        grpc.insecure_channel(server.target) as channel,
        UnansweredMount(models / "mounted"),
    ):
        wait_until(lambda: "repository_read_stalled" in log.read_text())
        stub: Any = ModelServiceStub(channel)
        calls = [stub.ListAliasChanges.future(ListAliasChangesRequest(model=GOOD), timeout=1) for _ in range(20)]
        assert {each.code() for each in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert served_version(channel) == "1"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(NOTICE_SECONDS) == 0
    retired = next(json.loads(line) for line in log.read_text().splitlines() if '"worker_retired"' in line)
    assert retired["exit_code"] == 0
    assert "repository_read_resumed" not in log.read_text()


def test_a_server_that_starts_meanwhile_serves_once_it_answers(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    with UnansweredMount(models / "mounted") as mount:

        def fail_once_logged() -> None:
            wait_until(lambda: "repository_read_stalled" in log.read_text(), 30)
            mount.fail()

        failing = threading.Thread(target=fail_once_logged)
        failing.start()
        with serving(models, log=log) as server, grpc.insecure_channel(server.target) as channel:
            assert served_version(channel) == "1"
        failing.join()
    assert "repository_read_resumed" in log.read_text()
