"""Start, readiness, verification of versions, and shutdown of a server."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from ondeck.v1.instances_pb2 import BattedBall, Pitch
from ondeck.v1.model_service_pb2 import ListModelsRequest, ModelState
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_core.manifest import ALIASES_FILE
from ondeck_core.tasks import TASKS
from tests.fixtures.server import READY, RunningServer, serving

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
SERVICES = ("ondeck.v1.PredictionService", "ondeck.v1.ModelService")
BALL = PredictRequest(model=ModelSpec(name="batted_ball"), batted_ball=BattedBall(launch_speed=100, launch_angle=20))


def check(channel: grpc.Channel, service: str) -> int:
    """Call Health.Check by path, as grpc_health_probe does."""
    call: grpc.UnaryUnaryMultiCallable[HealthCheckRequest, HealthCheckResponse] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    return call(HealthCheckRequest(service=service), timeout=10).status


def watch(channel: grpc.Channel, service: str) -> Iterator[HealthCheckResponse]:
    call: grpc.UnaryStreamMultiCallable[HealthCheckRequest, HealthCheckResponse] = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    return iter(call(HealthCheckRequest(service=service), timeout=30))


def page(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  the page of a local server
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.fixture
def copy_models(small_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_repository, tmp_path / "models"))


@pytest.mark.parametrize("name", ["", *SERVICES, "models/batted_ball", "models/called_strike"])
def test_a_ready_server_reports_serving_under_every_name(running_server: RunningServer, name: str) -> None:
    with grpc.insecure_channel(running_server.target) as channel:
        assert check(channel, name) == SERVING
        assert next(watch(channel, name)).status == SERVING


def test_an_unknown_name_is_not_found(running_server: RunningServer) -> None:
    with grpc.insecure_channel(running_server.target) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            check(channel, "models/home_runs")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert next(watch(channel, "models/home_runs")).status == HealthCheckResponse.SERVICE_UNKNOWN


def test_the_admin_pages_report_liveness_readiness_and_metrics(running_server: RunningServer) -> None:
    with grpc.insecure_channel(running_server.target) as channel:
        PredictionServiceStub(channel).Predict(BALL)
    assert page(f"{running_server.admin}/livez") == (200, "[+]ping ok\nlivez check passed\n")
    assert page(f"{running_server.admin}/readyz") == (200, READY)
    _, measures = page(f"{running_server.admin}/metrics")
    assert 'grpc_server_handled_total{grpc_code="OK",grpc_method="Predict",' in measures
    assert 'ondeck_predicted_rows_total{model="batted_ball",version="1"}' in measures


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def edit_manifest(path: Path, key: str, value: object) -> None:
    claims = json.loads(path.read_text())
    claims[key] = value
    path.write_text(json.dumps(claims))


def forge_golden(folder: Path, forge: Callable[[list[float]], list[float]]) -> None:
    """Change a golden output and its checksum, as if features or graph had changed."""
    golden = json.loads((folder / "golden.json").read_text())
    golden["probabilities"][0] = forge(golden["probabilities"][0])
    (folder / "golden.json").write_text(json.dumps(golden))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["golden.json"] = hashlib.sha256((folder / "golden.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


SABOTAGE: dict[str, Callable[[Path], None]] = {
    "model.onnx is not the file that was published": lambda folder: flip_byte(folder / "model.onnx"),
    "card.md is not the file that was published": lambda folder: flip_byte(folder / "card.md"),
    "model.onnx is missing": lambda folder: (folder / "model.onnx").unlink(),
    "manifest.json is missing": lambda folder: (folder / "manifest.json").unlink(),
    "manifest.json: outcomes": lambda folder: edit_manifest(folder / "manifest.json", "outcomes", None),
    "made for other features (fingerprint)": lambda folder: edit_manifest(
        folder / "manifest.json", "feature_fingerprint", "0" * 64
    ),
    "its manifest is of batted_ball version 2": lambda folder: edit_manifest(folder / "manifest.json", "version", 2),
    "golden rows differ": lambda folder: forge_golden(folder, lambda answer: answer[::-1]),
    "golden rows cannot be run": lambda folder: forge_golden(folder, lambda answer: answer[1:]),
}


@pytest.mark.parametrize("reason", SABOTAGE)
def test_a_version_that_fails_verification_is_refused_and_the_rest_serves(copy_models: Path, reason: str) -> None:
    SABOTAGE[reason](copy_models / "batted_ball" / "1")
    with serving(copy_models) as server, grpc.insecure_channel(server.target) as channel:
        assert check(channel, "models/batted_ball") == NOT_SERVING
        assert check(channel, "") == check(channel, "models/called_strike") == SERVING
        broken, *_ = ModelServiceStub(channel).ListModels(ListModelsRequest()).models
        assert broken.state == ModelState.MODEL_STATE_REFUSED
        assert broken.state_reason.startswith(reason)
        assert page(f"{server.admin}/readyz") == (
            200,
            READY.replace("[+]versions ok", f"[-]versions degraded: batted_ball 1 refused: {broken.state_reason}"),
        )
        with pytest.raises(grpc.RpcError) as refused:
            PredictionServiceStub(channel).Predict(BALL)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        pitch = PredictRequest(model=ModelSpec(name="called_strike"), pitch=Pitch(plate_x=0, plate_z=2))
        assert PredictionServiceStub(channel).Predict(pitch).prediction.outcomes


def test_a_partly_written_version_is_ignored(copy_models: Path) -> None:
    shutil.copytree(copy_models / "batted_ball" / "1", copy_models / "batted_ball" / ".publishing-x")
    (copy_models / "batted_ball" / "notes").mkdir()
    with serving(copy_models) as server, grpc.insecure_channel(server.target) as channel:
        assert len(ModelServiceStub(channel).ListModels(ListModelsRequest()).models) == len(TASKS)
        assert check(channel, "") == SERVING


def test_a_version_without_alias_or_policy_is_listed_and_not_loaded(copy_models: Path) -> None:
    (copy_models / "batted_ball" / ALIASES_FILE).unlink()
    with serving(copy_models, "--version-policy", "aliases") as server, grpc.insecure_channel(server.target) as channel:
        present, *_ = ModelServiceStub(channel).ListModels(ListModelsRequest()).models
        assert present.state == ModelState.MODEL_STATE_PRESENT
        request = PredictRequest(model=ModelSpec(name="batted_ball", version=1), batted_ball=BALL.batted_ball)
        with pytest.raises(grpc.RpcError) as refused:
            PredictionServiceStub(channel).Predict(request)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_server_without_models_starts_and_reports_not_serving(tmp_path: Path) -> None:
    with serving(tmp_path) as server, grpc.insecure_channel(server.target) as channel:
        assert [check(channel, name) for name in ("", *SERVICES)] == [NOT_SERVING] * 3
        assert page(f"{server.admin}/readyz") == (
            503,
            READY.replace("[+]models ok", "[-]models failed: no model has a production version").replace(
                "passed", "failed"
            ),
        )


@pytest.mark.parametrize("there_is", ["nothing", "a file"])
def test_a_repository_that_is_no_folder_is_refused_by_name(tmp_path: Path, there_is: str) -> None:
    models = tmp_path / "models"
    if there_is == "a file":
        models.touch()
    command = [
        sys.executable,
        "-m",
        "ondeck_cli",
        "serve",
        "--model-repository",
        str(models),
        "--port",
        "0",
        "--admin-port",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"the model repository {str(models)!r} " in done.stderr
    assert "ONDECK_MODEL_REPOSITORY or --model-repository" in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1:0"),
        (("--host", " "), "ONDECK_HOST= : "),
    ],
)
def test_an_address_of_another_machine_is_refused_with_a_reason(
    copy_models: Path, words: tuple[str, ...], complaint: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "ondeck_cli",
        "serve",
        "--model-repository",
        str(copy_models),
        "--port",
        "0",
        "--admin-port",
        "0",
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0, complaint in done.stderr, "Traceback" in done.stderr) == (True, True, False)


def test_a_server_listens_on_ipv6(copy_models: Path) -> None:
    with serving(copy_models, "--host", "::1") as server, grpc.insecure_channel(server.target) as channel:
        assert server.target.startswith("[::1]:")
        assert check(channel, "") == SERVING
        assert page(f"{server.admin}/readyz")[0] == 200


def test_during_the_shutdown_delay_new_calls_see_not_serving(copy_models: Path) -> None:
    with serving(copy_models, shutdown_delay_seconds=2) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        with grpc.insecure_channel(server.target) as channel:  # a new connection, as a probe makes one
            assert check(channel, "") == NOT_SERVING
            assert PredictionServiceStub(channel).Predict(BALL, timeout=5).prediction.outcomes
        assert server.process.wait(timeout=30) == 0


def test_on_sigterm_the_server_finishes_open_calls_and_exits(copy_models: Path) -> None:
    with serving(copy_models) as server, grpc.insecure_channel(server.target) as channel:
        statuses = watch(channel, "")
        assert next(statuses).status == SERVING
        hold = threading.Event()

        def requests() -> Iterator[StreamPredictRequest]:
            pitch = Pitch(plate_x=0, plate_z=2)
            yield StreamPredictRequest(id="before", model=ModelSpec(name="called_strike"), pitch=pitch)
            hold.wait(10)
            yield StreamPredictRequest(id="while", model=ModelSpec(name="called_strike"), pitch=pitch)

        stream = PredictionServiceStub(channel).StreamPredict(requests())
        assert next(stream).answers[0].id == "before"
        server.process.send_signal(signal.SIGTERM)
        assert next(statuses).status == NOT_SERVING
        hold.set()
        assert next(stream).answers[0].id == "while"
        assert list(stream) == []
        server.process.wait(timeout=20)
        assert server.process.returncode == 0


def test_an_occupied_port_is_reported_with_its_setting(running_server: RunningServer, small_repository: Path) -> None:
    port = running_server.target.rpartition(":")[2]
    command = [sys.executable, "-m", "ondeck_cli", "serve", "--model-repository", str(small_repository), "--port", port]
    done = subprocess.run([*command, "--admin-port", "0"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"error: cannot listen on 127.0.0.1:{port}; choose another port with ONDECK_PORT or --port" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "right"),
    [
        ("ONDECK_PORT", "http", "input should be a valid integer"),
        ("ONDECK_PORT", "70000", "input should be less than or equal to 65535"),
        ("ONDECK_DATABASE_URL", "mysql://x:y@z/w", "as postgresql://user@host/name"),
    ],
)
def test_a_wrong_setting_is_refused_at_start_by_its_name(variable: str, value: str, right: str) -> None:
    command = [sys.executable, "-m", "ondeck_cli", "serve"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={variable: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {variable}")
    assert right in done.stderr
    assert "x:y" not in done.stderr
