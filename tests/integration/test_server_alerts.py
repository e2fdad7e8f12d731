"""Alerts of a real server: break something, and the alert fires once; repair it, and it is resolved once."""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest
import yaml

from inference.grpc_service_pb2 import ModelInferRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck_core.manifest import MODEL_FILE
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.import_onnx import publish_graph
from ondeck_server.alerts.rules import RULES_FILE
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.webhook import WebhookReceiver

INTERVAL: Final = 0.5
NOTICE_SECONDS: Final = 40
MODEL: Final = "scores"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a repository with one model in production."""
    publish(tmp_path / "models", MODEL)
    return tmp_path / "models"


def publish(models: Path, name: str) -> None:
    manifest = publish_graph(models, name, scoring_graph())
    decision = AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC))
    move_alias(models, name, "production", manifest.version, decision)


@pytest.fixture
def quick_rules(tmp_path: Path) -> Path:
    """Return the shipped rules, each of which fires after a second: the expressions are what is tested."""
    rules = yaml.safe_load(RULES_FILE.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rules))
    return file


@contextmanager
def watched(
    models: Path, rules: Path, webhook: WebhookReceiver, *words: str, **settings: Any
) -> Iterator[RunningServer]:
    with serving(
        models,
        *words,
        log=rules.with_suffix(".log"),
        alert_interval_seconds=INTERVAL,
        alert_webhook_url=webhook.url,
        alert_rules=rules,
        repository_poll_seconds=0.5,
        **settings,
    ) as server:
        yield server


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + NOTICE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def call(server: RunningServer, times: int, timeout: float = 10) -> None:
    """Run the model; errors are what the alerts are about."""
    request = ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend([1.0, 2.0, 3.0, 4.0])
    with grpc.insecure_channel(server.target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        grpc.channel_ready_future(channel).result(timeout=10)
        for _ in range(times):
            with suppress(grpc.RpcError):
                stub.ModelInfer(request, timeout=timeout)


def page(server: RunningServer) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.admin}/alerts", timeout=10) as response:  # noqa: S310  a server of this test
        found: dict[str, Any] = json.load(response)
    return found


def test_a_healthy_server_under_load_fires_nothing(models: Path, quick_rules: Path, webhook: WebhookReceiver) -> None:
    with watched(models, quick_rules, webhook) as server:
        for _ in range(6):
            call(server, 100)
            time.sleep(INTERVAL)
        wait_until(lambda: not page(server)["active"])  # some were pending while the workers started
        found = page(server)
    assert (found["active"], found["past"], webhook.messages) == ([], [], [])
    assert len(found["rules"]) == len({*found["rules"]}) >= 21


def test_a_refused_version_fires_once_and_is_resolved_once(
    models: Path, quick_rules: Path, webhook: WebhookReceiver
) -> None:
    webhook.statuses = [500, 503]
    with watched(models, quick_rules, webhook) as server:
        publish(models, "other")
        (models / "other" / "1" / MODEL_FILE).write_bytes(b"broken")
        shutil.copytree(models / "other", models / "third")
        wait_until(lambda: webhook.states("OndeckVersionRefused") == ["firing"])
        assert [each["labels"]["alertname"] for each in page(server)["active"]] == ["OndeckVersionRefused"]
        shutil.rmtree(models / "other")
        shutil.rmtree(models / "third")
        wait_until(lambda: webhook.states("OndeckVersionRefused") == ["firing", "resolved"])
        time.sleep(4 * INTERVAL)
        assert [each["labels"]["alertname"] for each in page(server)["past"]] == ["OndeckVersionRefused"]
    first, last = webhook.messages
    assert (first["version"], first["status"], last["status"]) == ("4", "firing", "resolved")
    assert first["commonAnnotations"]["runbook"] == "docs/runbooks/OndeckVersionRefused.md"
    assert first["alerts"][0]["fingerprint"] == last["alerts"][0]["fingerprint"]
    assert last["alerts"][0]["endsAt"] > first["alerts"][0]["startsAt"]


def test_a_server_without_a_model_fires_until_there_is_one(
    tmp_path: Path, quick_rules: Path, webhook: WebhookReceiver
) -> None:
    (tmp_path / "models").mkdir()
    with watched(tmp_path / "models", quick_rules, webhook):
        wait_until(lambda: webhook.states("OndeckNoReadyModel") == ["firing"])
        publish(tmp_path / "models", MODEL)
        wait_until(lambda: webhook.states("OndeckNoReadyModel") == ["firing", "resolved"])


def test_workers_that_die_again_and_again(models: Path, quick_rules: Path, webhook: WebhookReceiver) -> None:
    with watched(models, quick_rules, webhook) as server:
        killed: set[int] = set()

        def kill_workers() -> bool:
            for worker in server.workers():
                with suppress(psutil.NoSuchProcess):
                    worker.send_signal(signal.SIGKILL)
                    killed.add(worker.pid)
            return {"firing"} <= {*webhook.states("OndeckWorkersMissing")} & {*webhook.states("OndeckWorkerDying")}

        wait_until(kill_workers)
        assert len(killed) >= 3
        wait_until(lambda: webhook.states("OndeckWorkersMissing")[-1] == "resolved")
        assert webhook.states("OndeckWorkerDying") == ["firing"]


def test_calls_that_fail(models: Path, quick_rules: Path, webhook: WebhookReceiver) -> None:
    with watched(models, quick_rules, webhook, max_queue_delay_ms=100) as server:
        call(server, 60, timeout=0.02)
        wait_until(lambda: webhook.states("OndeckErrorRateHigh") == ["firing"])
    (message,) = (each for each in webhook.messages if each["groupLabels"]["alertname"] == "OndeckErrorRateHigh")
    assert message["commonLabels"]["severity"] == "page"
    assert "of calls fail by an error of the server" in message["commonAnnotations"]["summary"]


def test_calls_that_are_slow(models: Path, quick_rules: Path, webhook: WebhookReceiver) -> None:
    with watched(models, quick_rules, webhook, max_queue_delay_ms=150) as server:
        call(server, 25)
        wait_until(lambda: webhook.states("OndeckLatencyHigh") == ["firing"])
    assert webhook.states("OndeckErrorRateHigh") == []


def test_calls_that_are_refused(models: Path, quick_rules: Path, webhook: WebhookReceiver) -> None:
    with watched(models, quick_rules, webhook, rate_limit_rows_per_second=0.1) as server:

        def call_again() -> bool:
            call(server, 20)
            return webhook.states("OndeckCallsRefused") == ["firing"]

        wait_until(call_again)
    assert webhook.states("OndeckErrorRateHigh") == []


def test_another_program_that_is_away_fires_until_it_is_back(
    models: Path, quick_rules: Path, webhook: WebhookReceiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with watched(models, quick_rules, webhook, alert_targets=f"ingest=http://127.0.0.1:{port}/metrics"):
        wait_until(lambda: webhook.states("OndeckUnreachable") == ["firing"])
        with metrics_page(port):
            wait_until(lambda: webhook.states("OndeckUnreachable") == ["firing", "resolved"])
    assert webhook.messages[0]["commonLabels"]["job"] == "ingest"


@contextmanager
def metrics_page(port: int) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"# TYPE some_total counter\nsome_total 1\n")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


def test_a_restart_sends_no_notice_twice(
    models: Path, quick_rules: Path, webhook: WebhookReceiver, tmp_path: Path
) -> None:
    home = ("--home", str(tmp_path / "home"))
    publish(models, "other")
    (models / "other" / "1" / MODEL_FILE).write_bytes(b"broken")
    with watched(models, quick_rules, webhook, *home):
        wait_until(lambda: webhook.states("OndeckVersionRefused") == ["firing"])
    with watched(models, quick_rules, webhook, *home) as server:
        wait_until(lambda: page(server)["active"])
        time.sleep(6 * INTERVAL)
        assert webhook.states("OndeckVersionRefused") == ["firing"]
        shutil.rmtree(models / "other")
        wait_until(lambda: webhook.states("OndeckVersionRefused") == ["firing", "resolved"])


def test_the_commands_show_alerts_and_rules(models: Path, quick_rules: Path, webhook: WebhookReceiver) -> None:
    publish(models, "other")
    (models / "other" / "1" / MODEL_FILE).write_bytes(b"broken")
    with watched(models, quick_rules, webhook) as server:
        wait_until(lambda: webhook.states("OndeckVersionRefused") == ["firing"])
        listed = ondeck("alerts", "list", "--admin", server.admin)
        assert "firing   OndeckVersionRefused since 20" in listed.stdout
    absent = ondeck("alerts", "list", "--admin", server.admin)
    assert absent.stderr == f"error: no server answers at {server.admin}; start one with: ondeck up\n"
    assert ondeck("alerts", "rules").stdout == RULES_FILE.read_text()


def test_no_rules_are_evaluated_if_that_is_turned_off(models: Path) -> None:
    with serving(models, alert_interval_seconds=0) as server:
        done = ondeck("alerts", "list", "--admin", server.admin)
    assert "evaluates no rules (ONDECK_ALERT_INTERVAL_SECONDS is 0)" in done.stderr


def test_a_server_with_invalid_rules_does_not_start(models: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text('groups: [{name: x, rules: [{alert: Unusual, expr: "topk(1, up)"}]}]')
    done = ondeck(
        "serve", "--model-repository", str(models), "--port", "0", ONDECK_ALERT_RULES=str(tmp_path / "rules.yml")
    )
    assert (done.returncode, "Unusual: 'topk(1, up)': the aggregation topk is not supported" in done.stderr) == (
        1,
        True,
    )


def ondeck(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )
