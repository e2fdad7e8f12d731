"""Faults of the machine: failed forks, exhausted descriptors, full or missing folders, hung workers."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import psutil
import pytest

from tests.fixtures.server import READY, RunningServer, serving
from tests.integration.test_server_start_and_shutdown import SERVING, check, page
from tests.integration.test_server_workers import predict_on_new_connections, wait_until, workers

# Starting a process fails in the supervisor with the error number in a file, while there is one.
FAILING_FORK = """
import pathlib, subprocess, sys
if "serve" in sys.orig_argv:
    genuine, number = subprocess._fork_exec, pathlib.Path(__file__).with_name("errno")
    def fork_exec(*words):
        if number.exists():
            raise OSError(int(number.read_text()), "injected")
        return genuine(*words)
    subprocess._fork_exec = fork_exec
"""


def pids(server: RunningServer) -> set[int]:
    return {each.pid for each in workers(server)}


def has_logged(log: Path, event: str, count: int = 1) -> bool:
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}"))
    return bool(sum(line["event"] == event for line in lines) >= count)


def is_full(server: RunningServer, without: set[int]) -> Callable[[], bool]:
    """Return a function that returns whether two workers run, none of them of `without`, and the pool is complete."""
    return lambda: (
        len(now := pids(server)) == 2 and not now & without and page(f"{server.admin}/readyz") == (200, READY)
    )


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.ENFILE])
def test_a_failed_fork_ends_nothing_and_is_retried(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING_FORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    log = tmp_path / "log"
    with serving(small_repository, "--workers", "2", log=log) as server:
        dead, healthy = workers(server)
        (tmp_path / "errno").write_text(str(int(number)))
        dead.kill()
        wait_until(lambda: has_logged(log, "worker_start_failed", 3))
        assert pids(server) == {healthy.pid}
        assert server.process.poll() is None
        predict_on_new_connections(server, 3)
        (tmp_path / "errno").unlink()
        wait_until(is_full(server, {dead.pid}))
        assert healthy.pid in pids(server)


def test_a_fork_that_fails_at_start_is_retried(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING_FORK)
    (tmp_path / "errno").write_text(str(errno.EAGAIN))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    repair = subprocess.Popen(["sh", "-c", 'sleep 6; rm "$0"', str(tmp_path / "errno")])
    try:
        with serving(small_repository, "--workers", "2", log=tmp_path / "log") as server:
            assert has_logged(tmp_path / "log", "worker_start_failed", 2)
            predict_on_new_connections(server)
    finally:
        repair.wait(timeout=30)


def test_without_free_descriptors_a_worker_is_replaced_and_metrics_are_read(small_repository: Path) -> None:
    with serving(small_repository, "--workers", "2") as server:
        supervisor = psutil.Process(server.process.pid)
        page(f"{server.admin}/readyz")
        highest = max(int(name.name) for name in Path(f"/proc/{supervisor.pid}/fd").iterdir())
        supervisor.rlimit(resource.RLIMIT_NOFILE, (highest + 2, supervisor.rlimit(resource.RLIMIT_NOFILE)[1]))
        dead, healthy = workers(server)
        dead.kill()
        wait_until(is_full(server, {dead.pid}))
        assert healthy.pid in pids(server)
        predict_on_new_connections(server, 3)
        assert "ondeck_version_loaded" in page(f"{server.admin}/metrics")[1]


def test_a_worker_survives_exhausted_descriptors(small_repository: Path) -> None:
    with serving(small_repository, "--workers", "1") as server:
        (worker,) = workers(server)
        predict_on_new_connections(server)
        used = len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))
        worker.rlimit(resource.RLIMIT_NOFILE, (used + 8, worker.rlimit(resource.RLIMIT_NOFILE)[1]))
        with grpc.insecure_channel(server.target) as kept:
            assert check(kept, "") == SERVING
            channels = [
                grpc.insecure_channel(server.target, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(20)
            ]
            for channel in channels:
                grpc.channel_ready_future(channel)
            time.sleep(3)
            assert check(kept, "") == SERVING
            for channel in channels:
                channel.close()
        wait_until(lambda: len(list(Path(f"/proc/{worker.pid}/fd").iterdir())) <= used + 2)
        predict_on_new_connections(server, 3)
        assert pids(server) == {worker.pid}


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """Mount a file system in memory of this size within the block."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(b"\0" * 512)


@pytest.mark.parametrize("kibibytes", [4, 80, 200, 400])
def test_a_full_temporary_folder_ends_no_worker(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kibibytes: int
) -> None:
    with small_disk(tmp_path / "disk", kibibytes) as disk:
        monkeypatch.setenv("TMPDIR", str(disk))
        with serving(small_repository, "--workers", "2", "--home", str(disk / "home")) as server:
            started = pids(server)
            fill(disk)
            predict_on_new_connections(server, 10)
            assert page(f"{server.admin}/metrics")[0] == 200
            assert pids(server) == started
            dead = workers(server)[0]
            dead.kill()
            wait_until(is_full(server, {dead.pid}))
            predict_on_new_connections(server, 10)
            assert page(f"{server.admin}/metrics")[0] == 200
            assert len(pids(server) & started) == 1


def test_a_missing_temporary_folder_ends_nothing(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with serving(small_repository, "--workers", "2") as server:
        shutil.rmtree(temporary)
        assert page(f"{server.admin}/metrics")[0] == 200
        dead = workers(server)[0]
        dead.kill()
        wait_until(is_full(server, {dead.pid}))
        predict_on_new_connections(server, 10)
        assert "ondeck_version_loaded" in page(f"{server.admin}/metrics")[1]


def test_a_missing_interpreter_is_retried_until_it_is_back(small_repository: Path, tmp_path: Path) -> None:
    environment = Path(sys.prefix)
    (tmp_path / "bin").mkdir()
    interpreter = tmp_path / "bin" / "python"
    interpreter.symlink_to(Path(sys.executable).resolve())
    (tmp_path / "lib").symlink_to(environment / "lib")
    shutil.copy(environment / "pyvenv.cfg", tmp_path)
    log = tmp_path / "log"
    with serving(small_repository, "--workers", "2", log=log, python=str(interpreter)) as server:
        interpreter.rename(tmp_path / "elsewhere")
        dead, healthy = workers(server)
        dead.kill()
        wait_until(lambda: has_logged(log, "worker_start_failed", 2))
        assert pids(server) == {healthy.pid}
        predict_on_new_connections(server)
        (tmp_path / "elsewhere").rename(interpreter)
        wait_until(is_full(server, {dead.pid}))


# SIGUSR1 blocks the event loop of a worker.
ENDLESS_LOOP = """
import signal, sys
if "ondeck_server.worker" in sys.orig_argv:
    def hang(*_):
        while True:
            pass
    signal.signal(signal.SIGUSR1, hang)
"""


def serves_all_workers(server: RunningServer) -> bool:
    with grpc.insecure_channel(server.target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        return check(channel, "workers") == SERVING


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGUSR1])
def test_a_hung_worker_is_reported_killed_and_replaced(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ENDLESS_LOOP)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    log = tmp_path / "log"
    with serving(small_repository, "--workers", "2", log=log, worker_timeout_seconds=4) as server:
        assert serves_all_workers(server)
        hung, healthy = workers(server)
        hung.send_signal(number)
        started = time.monotonic()
        wait_until(lambda: f"worker {hung.pid} has sent no heartbeat for" in page(f"{server.admin}/readyz")[1])
        assert time.monotonic() - started < 3
        assert page(f"{server.admin}/readyz")[0] == 200
        assert 'ondeck_workers{state="silent"} 1.0' in page(f"{server.admin}/metrics")[1]
        wait_until(lambda: not hung.is_running())
        assert time.monotonic() - started < 8
        assert not serves_all_workers(server)
        wait_until(is_full(server, {hung.pid}))
        assert healthy.pid in pids(server)
        wait_until(lambda: serves_all_workers(server))
        assert 'ondeck_worker_exits_total{reason="killed"} 1.0' in page(f"{server.admin}/metrics")[1]
    assert has_logged(log, "worker_killed")


def test_a_lone_hung_worker_makes_the_server_unready(small_repository: Path) -> None:
    with serving(small_repository, "--workers", "1") as server:
        (hung,) = workers(server)
        hung.suspend()
        wait_until(lambda: page(f"{server.admin}/readyz")[0] == 503)
        assert page(f"{server.admin}/readyz")[1].splitlines()[1] == "[-]models failed: no worker accepts calls"
        wait_until(lambda: page(f"{server.admin}/readyz") == (200, READY))
        assert pids(server) != {hung.pid}


def test_a_server_that_was_suspended_keeps_its_workers(small_repository: Path) -> None:
    with serving(small_repository, "--workers", "2", worker_timeout_seconds=2) as server:
        everything = [psutil.Process(server.process.pid), *workers(server)]
        before = pids(server)
        for suspended in (everything[:1], everything):
            for each in suspended:
                each.suspend()
            time.sleep(4)
            for each in suspended:
                each.resume()
            predict_on_new_connections(server, 3)
            time.sleep(1)
            assert pids(server) == before


def test_workers_that_keep_dying_are_reported_as_a_crash_loop(small_repository: Path) -> None:
    with serving(small_repository, "--workers", "2") as server:
        survivor = workers(server)[0]

        def is_reported() -> bool:
            for each in workers(server):
                if each.pid != survivor.pid:
                    each.kill()
            status, text = page(f"{server.admin}/readyz")
            assert status == 200
            return "[-]workers degraded: 1 of 2 workers accept calls\n[-]workers degraded: workers failed" in text

        wait_until(is_reported)
        assert re.search(r'ondeck_worker_exits_total\{reason="died"\} [3-9]', page(f"{server.admin}/metrics")[1])
        wait_until(lambda: page(f"{server.admin}/readyz") == (200, READY))
        assert survivor.pid in pids(server)


def test_a_log_that_cannot_be_written_ends_nothing(small_repository: Path) -> None:
    with serving(small_repository, "--workers", "2", log=Path("/dev/full")) as server:
        dead, healthy = workers(server)
        dead.kill()
        wait_until(is_full(server, {dead.pid}))
        predict_on_new_connections(server, 3)
        assert healthy.pid in pids(server)


def test_a_closed_log_ends_nothing(small_repository: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    with serving(small_repository, "--workers", "2", log=tmp_path / "log") as server:
        os.close(reader)
        dead = workers(server)[0]
        dead.kill()
        wait_until(is_full(server, {dead.pid}))
        predict_on_new_connections(server, 3)
