"""Several workers behind one port: real processes, real signals."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import BattedBall, Client
from ondeck_server.supervisor.process import EXPERIMENTS
from tests.fixtures.server import READY, RunningServer, serving
from tests.integration.test_server_start_and_shutdown import BALL, NOT_SERVING, SERVING, check, page, watch

PATIENCE = 90
APART = (("grpc.use_local_subchannel_pool", 1),)  # a separate connection for every channel
PREDICT_LABELS = 'grpc_method="Predict",grpc_service="ondeck.v1.PredictionService",grpc_type="unary"'


def workers(server: RunningServer) -> list[psutil.Process]:
    return server.workers()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def count_calls(server: RunningServer) -> float:
    _, measures = page(f"{server.admin}/metrics")
    found = re.search(rf'^grpc_server_handled_total{{grpc_code="OK",{PREDICT_LABELS}}} (\S+)$', measures, re.MULTILINE)
    return float(found[1]) if found else 0


def channelz(server: RunningServer) -> dict[int, dict[str, Any]]:
    """Return the channelz snapshot of each worker, by pid."""
    _, text = page(f"{server.admin}/channelz")
    return {worker["pid"]: worker["server"][0] for worker in json.loads(text)["workers"] if worker.get("server")}


def predict_on_new_connections(server: RunningServer, times: int = 1) -> None:
    """Predict `times` times, each over a new connection."""
    for _ in range(times):
        with grpc.insecure_channel(server.target, options=APART) as channel:
            assert PredictionServiceStub(channel).Predict(BALL, timeout=10).prediction.outcomes


@pytest.fixture(scope="module")
def pair(root: Path) -> Iterator[RunningServer]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ONDECK_MAX_CONNECTION_AGE_SECONDS", "3")
        with serving(root / "onnx_models", "--workers", "2") as server:
            yield server


def test_every_worker_answers_and_metrics_cover_all_workers(pair: RunningServer) -> None:
    before = count_calls(pair)
    predict_on_new_connections(pair, 40)
    answered = {pid: int(seen["data"].get("callsStarted", 0)) for pid, seen in channelz(pair).items()}
    assert set(answered) == {worker.pid for worker in workers(pair)}
    assert all(answered.values())
    assert count_calls(pair) == before + 40


def test_channelz_names_the_connections_of_each_worker(pair: RunningServer) -> None:
    with grpc.insecure_channel(pair.target, options=APART) as channel:
        check(channel, "")
        sockets = [socket for seen in channelz(pair).values() for socket in seen["socket"]]
    assert any("127.0.0.1" in socket["ref"]["name"] and socket["data"]["streamsStarted"] for socket in sockets)


def test_the_supervisor_loads_neither_grpcio_nor_onnxruntime(pair: RunningServer) -> None:
    def loaded(pid: int) -> set[str]:
        return set(re.findall("cygrpc|onnxruntime", Path(f"/proc/{pid}/maps").read_text()))

    assert loaded(pair.process.pid) == set()
    assert [loaded(worker.pid) for worker in workers(pair)] == [{"onnxruntime"}] * 2


def test_a_killed_worker_is_replaced_and_its_counters_are_kept(pair: RunningServer) -> None:
    before, counted = workers(pair), count_calls(pair) + 5
    predict_on_new_connections(pair, 5)
    wait_until(lambda: count_calls(pair) == counted)  # a call is counted once its response has left
    before[0].kill()
    wait_until(lambda: not before[0].is_running() or before[0].status() == psutil.STATUS_ZOMBIE)
    while len(channelz(pair)) < 2:
        status, text = page(f"{pair.admin}/readyz")
        assert (status, text.splitlines()[-1]) == (200, "readyz check passed")
        with grpc.insecure_channel(pair.target, options=APART) as channel:
            assert check(channel, "") == SERVING
        assert count_calls(pair) >= counted
        predict_on_new_connections(pair)
        counted += 1
        wait_until(lambda: count_calls(pair) == counted)  # noqa: B023  called at once
        time.sleep(0.1)
    assert len({worker.pid for worker in workers(pair)} - {worker.pid for worker in before}) == 1


class Load:
    """Clients that retry, in threads; `lost` has the errors they received."""

    def __init__(self, target: str, callers: int) -> None:
        self._target = target
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]
        self.lost: list[str] = []
        self.answered = 0

    def _call(self) -> None:
        with Client(self._target, options=APART) as client:
            while not self._over.is_set():
                try:
                    client.predict("batted_ball", BattedBall(launch_speed=100, launch_angle=20))
                    self.answered += 1
                except grpc.RpcError as failed:
                    self.lost.append(str(failed))
                time.sleep(0.005)

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()


def reload(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", "reload", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_reload_under_load_replaces_every_worker_and_loses_no_call(pair: RunningServer) -> None:
    before = {worker.pid for worker in workers(pair)}
    load = Load(pair.target, callers=6)
    with load.running(), grpc.insecure_channel(pair.target, options=APART) as channel:
        statuses: list[int] = []
        threading.Thread(target=lambda: _collect(channel, statuses), daemon=True).start()
        assert reload("--pid", str(pair.process.pid)).returncode == 0
        wait_until(lambda: len(now := {each.pid for each in workers(pair)}) == 2 and not now & before)
        assert page(f"{pair.admin}/readyz") == (200, READY)
    assert load.lost == []
    assert load.answered > 50
    assert set(statuses) == {SERVING}


def _collect(channel: grpc.Channel, statuses: list[int]) -> None:
    """Collect the statuses of a Watch until its worker closes it."""
    with suppress(grpc.RpcError):
        statuses.extend(each.status for each in watch(channel, ""))


def test_a_worker_on_sigterm_finishes_its_calls_and_is_replaced(pair: RunningServer) -> None:
    before = workers(pair)
    before[0].terminate()
    wait_until(lambda: set(channelz(pair)) == {each.pid for each in workers(pair)} and len(channelz(pair)) == 2)
    assert before[1].is_running()


@pytest.fixture
def own_pair(root: Path, tmp_path: Path) -> Iterator[RunningServer]:
    words = ("--workers", "2", "--home", str(tmp_path / "home"))
    with serving(root / "onnx_models", *words, shutdown_delay_seconds=2) as server:
        yield server


def test_on_sigterm_every_worker_reports_not_serving_and_no_file_is_left(
    own_pair: RunningServer, tmp_path: Path
) -> None:
    channels = [grpc.insecure_channel(own_pair.target, options=APART) for _ in range(12)]
    watches = [watch(channel, "") for channel in channels]
    assert {next(each).status for each in watches} == {SERVING}
    assert [path.name for path in (tmp_path / "home").iterdir()] == [f"serve-{own_pair.target.split(':')[1]}.pid"]
    own_pair.process.send_signal(signal.SIGTERM)
    assert {next(each).status for each in watches} == {NOT_SERVING}
    predict_on_new_connections(own_pair, 4)
    assert page(f"{own_pair.admin}/readyz") == (
        503,
        READY.replace("[+]shutdown ok", "[-]shutdown failed: draining").replace("passed", "failed"),
    )
    for channel in channels:
        channel.close()
    assert own_pair.process.wait(timeout=30) == 0
    assert list((tmp_path / "home").iterdir()) == []


def test_workers_of_a_killed_supervisor_exit_and_free_the_port(own_pair: RunningServer, tmp_path: Path) -> None:
    assert reload("--home", str(tmp_path / "home"), "--pid", str(os.getpid())).returncode == 1
    orphans = workers(own_pair)
    own_pair.process.kill()
    exited, alive = psutil.wait_procs(orphans, timeout=30)
    assert (len(exited), alive) == (2, [])
    refused = reload("--home", str(tmp_path / "home"))
    assert (refused.returncode, "no server is running" in refused.stderr) == (1, True)


def test_workers_that_always_die_at_start_stop_the_server_with_their_exit_code(root: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'ondeck_server.worker' in sys.orig_argv:\n    os._exit(7)\n"
    )
    words = ["--model-repository", str(root / "onnx_models"), "--port", "0", "--admin-port", "0", "--workers", "2"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "ondeck_cli", "serve", *words, "--home", str(tmp_path / "home")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: the server's workers exit before they accept calls, the last with exit code 7" in done.stderr
    assert "worker_died" in {json.loads(line)["event"] for line in done.stderr.splitlines() if line.startswith("{")}


def test_grpcio_knows_the_experiments_that_workers_switch_off() -> None:
    start = "import asyncio, grpc\nasync def main(): grpc.aio.server()\nasyncio.run(main())"
    stderr = {
        name: subprocess.run(
            [sys.executable, "-c", start],
            env={**os.environ, "GRPC_EXPERIMENTS": name},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stderr
        for name in (EXPERIMENTS["GRPC_EXPERIMENTS"], "-no_such")
    }
    assert ["Unknown experiment" in each for each in stderr.values()] == [False, True]
