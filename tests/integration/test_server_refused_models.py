"""A model that has never served here and is refused takes nothing away from those that serve."""

import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import onnx
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from ondeck.v1.model_service_pb2 import ListModelsRequest, ModelState
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck_client import BattedBall, Client, ErrorReason, reason_of
from ondeck_core.manifest import ALIASES_FILE, MANIFEST_FILE
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.import_onnx import publish_graph
from ondeck_server.composition import SERVICES
from tests.factories.broken_repositories import VERSION_FAULTS, copy_model, replace_graph
from tests.factories.exported_graphs import xgboost_graph
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import serving

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
WHOLE: Final = ("", *SERVICES)
BALL: Final = BattedBall(launch_speed=100, launch_angle=20)
NOTICE_SECONDS: Final = 30


def point(models: Path, name: str, version: int) -> None:
    decision = AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC))
    move_alias(models, name, "production", version, decision)


def publish_unloadable(models: Path, name: str) -> int:
    """Publish a version that this ONNX Runtime cannot load, as a newer one on a workstation can."""
    manifest = publish_graph(models, name, scoring_graph())
    replace_graph(models / name / str(manifest.version), xgboost_graph(ir=99))
    point(models, name, manifest.version)
    return manifest.version


def publish_external(models: Path, name: str) -> None:
    """Publish a version whose weights are beside its graph, as an earlier release did."""
    publish_graph(models, name, scoring_graph())
    VERSION_FAULTS["graph_external"](models / name)
    point(models, name, 1)


def publish_unreadable(models: Path, name: str) -> None:
    """Publish a version with a folder in place of its manifest."""
    publish_graph(models, name, scoring_graph())
    (models / name / "1" / MANIFEST_FILE).unlink()
    (models / name / "1" / MANIFEST_FILE).mkdir()
    point(models, name, 1)


def publish_without_graph(models: Path, name: str) -> None:
    publish_graph(models, name, scoring_graph())
    point(models, name, 1)
    (models / name / "1" / "model.onnx").unlink()


def point_to_nothing(models: Path, name: str) -> None:
    """Leave a model with aliases and without any version."""
    (models / name).mkdir()
    (models / name / ALIASES_FILE).write_text('{"aliases": {"production": 1}}')


def publish_broken_link(models: Path, name: str) -> None:
    (models / name).mkdir()
    (models / name / "1").symlink_to(models / "nowhere")
    (models / name / ALIASES_FILE).write_text('{"aliases": {"production": 1}}')


REFUSED: Final[dict[str, Callable[[Path, str], object]]] = {
    "unloadable": publish_unloadable,
    "external": publish_external,
    "unreadable": publish_unreadable,
    "without_graph": publish_without_graph,
    "to_nothing": point_to_nothing,
    "broken_link": publish_broken_link,
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server with its repository, and its log."""

    models: Path
    log: Path
    target: str
    admin: str
    channel: grpc.Channel

    def health(self, name: str) -> int:
        """Return the status of a health name; SERVICE_UNKNOWN if there is none."""
        stub: Any = HealthStub(self.channel)
        return int(next(iter(stub.Watch(HealthCheckRequest(service=name), timeout=10))).status)

    def whole(self) -> set[int]:
        return {self.health(name) for name in WHOLE}

    def entries(self, name: str) -> list[Any]:
        answer = ModelServiceStub(self.channel).ListModels(ListModelsRequest(), timeout=10)
        return [each for each in answer.models if each.name == name]

    def reasons(self, name: str) -> list[str]:
        entries = self.entries(name)
        return [each.state_reason for each in entries if each.state == ModelState.MODEL_STATE_REFUSED]

    def page(self, name: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.admin}/{name}", timeout=10) as response:  # noqa: S310  a local server
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def refusals(self) -> int:
        found = re.search(r"^ondeck_refusals (\d+)", self.page("metrics")[1], re.MULTILINE)
        assert found
        return int(found[1])


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Waits for a condition, and checks all the time that the whole server serves."""

    server: Server

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + NOTICE_SECONDS
        while not condition():
            assert self.server.whole() == {SERVING}
            assert time.monotonic() < end
            time.sleep(0.02)
        assert self.server.whole() == {SERVING}


def run_server(models: Path, log: Path) -> Iterator[Server]:
    with serving(models, log=log, repository_poll_seconds=0.5) as running, grpc.insecure_channel(running.target) as to:
        yield Server(models=models, log=log, target=running.target, admin=running.admin, channel=to)


@pytest.fixture(scope="module")
def live(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = shutil.copytree(small_repository, tmp_path_factory.mktemp("refused") / "models")
    yield from run_server(models, models.parent / "log")


@pytest.mark.parametrize("name", REFUSED)
def test_a_new_model_that_is_refused_takes_nothing_away(live: Server, name: str) -> None:
    before = live.refusals()
    REFUSED[name](live.models, name)
    Watched(server=live).until(lambda: live.reasons(name) and live.refusals() > before)
    assert live.health(f"models/{name}") == NOT_SERVING
    assert live.health(f"models/{name}@production") == NOT_SERVING
    status, text = live.page("readyz")
    assert status == 200
    assert re.search(rf"^\[-\]versions degraded: {name}( 1)? refused: ", text, re.MULTILINE)
    logged = live.log.read_text().splitlines()
    assert any(name in line for line in logged if "version_rejected" in line or "model_rejected" in line)
    with Client(live.target) as client:
        assert client.predict("batted_ball", BALL).outcomes
        assert {each.name for each in client.models()} >= {name, "batted_ball"}


def test_a_next_version_that_is_refused_leaves_the_one_before_in_service(live: Server) -> None:
    publish_graph(live.models, "improved", scoring_graph())
    point(live.models, "improved", 1)
    watched = Watched(server=live)
    watched.until(lambda: live.health("models/improved") == SERVING)
    publish_unloadable(live.models, "improved")
    watched.until(lambda: live.reasons("improved"))
    assert live.health("models/improved") == live.health("models/improved@production") == SERVING
    assert live.health("models/improved/2") == NOT_SERVING


def test_a_model_that_is_new_and_good_is_never_a_reason_to_stop(live: Server) -> None:
    publish_graph(live.models, "good", scoring_graph())
    point(live.models, "good", 1)
    Watched(server=live).until(lambda: live.health("models/good") == SERVING)


def test_a_model_that_served_and_is_removed_is_forgotten(live: Server) -> None:
    publish_graph(live.models, "short_lived", scoring_graph())
    point(live.models, "short_lived", 1)
    watched = Watched(server=live)
    watched.until(lambda: live.health("models/short_lived") == SERVING)
    shutil.rmtree(live.models / "short_lived")
    watched.until(lambda: live.health("models/short_lived") == HealthCheckResponse.SERVICE_UNKNOWN)
    assert live.entries("short_lived") == []


def test_no_refusal_names_a_folder_of_the_server(live: Server) -> None:
    copy_model(live.models / "good", live.models / "copied")
    replace_graph(
        live.models / "copied" / "1", onnx.load_model_from_string(xgboost_graph(ml_opset=9)).SerializeToString()
    )
    Watched(server=live).until(lambda: live.reasons("copied"))
    texts = [reason for each in (*REFUSED, "copied", "improved") for reason in live.reasons(each)]
    texts.append(live.page("readyz")[1])
    assert len(texts) == len(REFUSED) + 3
    for text in texts:
        assert str(live.models.parent) not in text
        assert "onnxruntime_src" not in text
        assert not re.search(r"(?<!\w)/\w+/", text), text


def test_a_cold_start_beside_refused_models_serves_the_others(small_repository: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(small_repository / "batted_ball", models / "batted_ball")
    for name, publish in REFUSED.items():
        publish(models, name)
    for server in run_server(models, tmp_path / "log"):
        assert server.whole() == {SERVING}
        assert server.page("readyz")[0] == 200
        assert {server.health(f"models/{name}") for name in REFUSED} == {NOT_SERVING}
        assert server.refusals() == len(REFUSED)
        with Client(server.target) as client:
            assert client.predict("batted_ball", BALL).outcomes
            with pytest.raises(grpc.RpcError) as refused:
                client.predict("unloadable", BALL)
            assert reason_of(refused.value) == ErrorReason.ERROR_REASON_MODEL_NOT_LOADED
            assert "unloadable version 1 is not loaded: model.onnx is not a graph" in str(refused.value)
        shutil.rmtree(models / "batted_ball")
        end = time.monotonic() + NOTICE_SECONDS
        while server.whole() != {NOT_SERVING}:  # none is left that serves
            assert time.monotonic() < end
        status, text = server.page("readyz")
        assert (status, text.splitlines()[1]) == (503, "[-]models failed: models/broken_link does not serve")
        with Client(server.target) as client:
            assert {each.name for each in client.models()} == set(REFUSED)
            with pytest.raises(grpc.RpcError) as refused:
                client.predict("unloadable", BALL)
            assert reason_of(refused.value) == ErrorReason.ERROR_REASON_MODEL_NOT_LOADED
