"""Metrics of a real server: as its clients count, over killed workers, and on both transports."""

import json
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ondeck.v1.prediction_service_pb2 import PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import correlation_id_of
from tests.fixtures.server import READY, RunningServer, serving
from tests.integration.test_server_start_and_shutdown import BALL, page
from tests.integration.test_server_workers import APART, wait_until, workers
from tools.fill_document_tables import declared_metrics, exported_name

WORKERS = 4
KILLS_OF_A_ROUND = 3
ROUNDS = 17  # 51 workers are killed
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
SUMMED = re.compile(r"_(total|count|sum|bucket)$")
NO_PAUSES = """
import sys
if "serve" in sys.orig_argv:
    from ondeck_server.supervisor import policy
    policy.FIRST_RESTART_DELAY = policy.LONGEST_RESTART_DELAY = 0.01
"""


def samples(server: RunningServer) -> dict[tuple[str, str], float]:
    """Return the values of the page by name and labels."""
    return {(name, labels): float(value) for name, labels, value in LINE.findall(page(f"{server.admin}/metrics")[1])}


def by_code(found: dict[tuple[str, str], float], method: str) -> dict[str, float]:
    """Return how many calls of a method were handled, by code."""
    codes = {labels: value for (name, labels), value in found.items() if name == "grpc_server_handled_total"}
    return {
        re.findall(r'grpc_code="(\w+)"', labels)[0]: value
        for labels, value in codes.items()
        if f'grpc_method="{method}"' in labels
    }


def total(found: dict[tuple[str, str], float], metric: str, *parts: str) -> float:
    return sum(n for (name, labels), n in found.items() if name == metric and all(part in labels for part in parts))


def call(server: RunningServer) -> Iterator[tuple[str, str]]:
    """Make some calls, each over a new connection; yield the method and the code of each as its client saw it."""
    for kind in random.choices(["valid", "invalid", "unknown"], k=6):  # noqa: S311  no secret
        with grpc.insecure_channel(server.target, options=APART) as channel:
            unknown = channel.unary_unary("/no.Service/Method", lambda text: text, lambda text: text)
            stub, method = PredictionServiceStub(channel), "other" if kind == "unknown" else "Predict"
            try:
                if kind == "unknown":
                    unknown(b"", timeout=20)
                else:
                    stub.Predict(BALL if kind == "valid" else PredictRequest(), timeout=20)
                yield method, "OK"
            except grpc.RpcError as error:
                yield method, error.code().name


def is_whole(server: RunningServer, without: set[int]) -> bool:
    present = {each.pid for each in workers(server)}
    ready = page(f"{server.admin}/readyz")
    return len(present) == WORKERS and not present & without and ready == (200, READY)


def test_counters_never_fall_and_equal_those_of_clients_over_fifty_killed_workers(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_PAUSES)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    models = tmp_path / "models"
    shutil.copytree(small_repository / "batted_ball", models / "batted_ball")  # one model: workers start fast
    counted: Counter[tuple[str, str]] = Counter()
    killed: set[int] = set()
    with serving(models, "--workers", str(WORKERS)) as server:
        before = samples(server)
        for _ in range(ROUNDS):
            counted.update(call(server))
            found = counted_samples(server, sum(counted.values()))
            for method in ("Predict", "other"):
                own = {code: n for (name, code), n in counted.items() if name == method}
                label = f'grpc_method="{method}"'
                assert by_code(found, method) == own
                assert total(found, "grpc_server_started_total", label) == sum(own.values())
                assert total(found, "grpc_server_handling_seconds_count", label) == sum(own.values())
                assert total(found, "ondeck_calls_in_flight", label) == 0
            ends = random.sample(workers(server), KILLS_OF_A_ROUND)
            for each in ends:
                each.kill()
            killed |= {each.pid for each in ends}
            while True:
                is_over = is_whole(server, killed)
                before, now = check_not_fallen(before, samples(server)), samples(server)
                if is_over:
                    break
                time.sleep(0.2)
            pids = {int(each) for _, labels in now for each in re.findall(r'process="worker".*pid="(\d+)"', labels)}
            pids |= {int(each) for _, labels in now for each in re.findall(r'pid="(\d+)".*process="worker"', labels)}
            assert pids
            assert not pids & killed
        assert len(killed) == ROUNDS * KILLS_OF_A_ROUND
        assert total(samples(server), "ondeck_worker_exits_total", 'reason="died"') == len(killed)
        assert {code for _, code in counted} == {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED"}


def counted_samples(server: RunningServer, calls: int) -> dict[tuple[str, str], float]:
    """Read the page once it has so many calls: the last of them may be counted just after its status was read."""
    end = time.monotonic() + 10
    while True:
        found = samples(server)
        ended = sum(total(found, "grpc_server_handled_total", f'grpc_method="{each}"') for each in ("Predict", "other"))
        if ended >= calls or time.monotonic() > end:
            return found
        time.sleep(0.05)


def check_not_fallen(
    before: dict[tuple[str, str], float], now: dict[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """Check that no sum has fallen or vanished; return the present ones."""
    fallen = {key: (n, now.get(key)) for key, n in before.items() if SUMMED.search(key[0]) and now.get(key, -1.0) < n}
    assert fallen == {}
    return now


@pytest.mark.parametrize("transport", ["nghttp2", "grpcio"])
def test_both_transports_count_alike(small_repository: Path, transport: str) -> None:
    with serving(small_repository, transport=transport) as server:
        with grpc.insecure_channel(server.target) as channel:
            stub = PredictionServiceStub(channel)
            for _ in range(3):
                stub.Predict(BALL)
            with pytest.raises(grpc.RpcError):
                stub.Predict(PredictRequest())
            unknown = channel.unary_unary("/ondeck.v1.PredictionService/Secret", bytes, bytes)
            with pytest.raises(grpc.RpcError, match="the method does not exist") as refused:
                unknown(b"x", metadata=(("x-correlation-id", "of a test"),))
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert correlation_id_of(refused.value) == "of a test"
        wait_until(lambda: total(samples(server), "grpc_server_handled_total") == 5)
        found = samples(server)
        assert by_code(found, "Predict") == {"OK": 3, "INVALID_ARGUMENT": 1}
        assert by_code(found, "other") == {"UNIMPLEMENTED": 1}
        assert not any("Secret" in labels for _, labels in found)
        for metric, expected in (
            ("grpc_server_started_total", 4),
            ("grpc_server_msg_received_total", 4),
            ("grpc_server_msg_sent_total", 3),
            ("grpc_server_handling_seconds_count", 4),
        ):
            assert (metric, total(found, metric, 'grpc_method="Predict"')) == (metric, expected)
        for metric in ("ondeck_queue_seconds", "ondeck_run_seconds", "ondeck_feature_seconds", "ondeck_batch_rows"):
            assert (metric, total(found, f"{metric}_count", 'model="batted_ball"') >= 3) == (metric, True)


def test_the_table_of_the_documentation_is_what_a_server_exports(running_server: RunningServer) -> None:
    text = page(f"{running_server.admin}/metrics")[1]
    exported = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    declared = {exported_name(family) for program, family in declared_metrics() if program in {"server", "runtime"}}
    assert exported == declared


BROKEN_TASKS = """
import pathlib, sys
if "ondeck_server.worker" in sys.orig_argv:
    from ondeck_runtime.process_metrics import ProcessMetrics
    folder, sample = pathlib.Path(__file__).parent, ProcessMetrics.sample
    def broken(self):
        if (folder / "break_samples").exists():
            raise RuntimeError("injected")
        sample(self)
    ProcessMetrics.sample = broken
    from ondeck_server.worker import main
    handle = main.WorkerMain._handle
    def broken_handle(self, message):
        if (folder / "break_commands").exists() and message.kind == "channelz_request":
            raise RuntimeError("injected")
        return handle(self, message)
    main.WorkerMain._handle = broken_handle
"""


def events(log: Path, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in lines if line["event"] == name]


def test_a_broken_task_is_logged_counted_and_restarted_and_one_that_is_needed_ends_its_worker(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN_TASKS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    log = tmp_path / "log"

    def count(metric: str, task: str) -> float:
        return total(samples(server), metric, f'task="{task}"')

    with serving(small_repository, log=log) as server:
        (first,) = workers(server)
        (tmp_path / "break_samples").touch()
        wait_until(lambda: count("ondeck_task_failures_total", "process_samples") >= 2)
        (tmp_path / "break_samples").unlink()
        restarts = count("ondeck_task_restarts_total", "process_samples")
        wait_until(lambda: count("ondeck_task_restarts_total", "process_samples") > restarts)
        used = total(samples(server), "ondeck_process_cpu_seconds_total", "worker")
        wait_until(lambda: total(samples(server), "ondeck_process_cpu_seconds_total", "worker") > used)
        assert {(each["task"], each["reason"]) for each in events(log, "task_failed")} == {
            ("process_samples", "RuntimeError: injected")
        }
        (tmp_path / "break_commands").touch()
        page(f"{server.admin}/channelz")
        (tmp_path / "break_commands").unlink()
        wait_until(lambda: [each.pid for each in workers(server)] not in ([first.pid], []))
        wait_until(lambda: page(f"{server.admin}/readyz")[0] == 200)
        assert count("ondeck_task_failures_total", "commands") == 1
        assert {(each["worker"], each["exit_code"]) for each in events(log, "worker_retired")} == {(first.pid, 1)}
