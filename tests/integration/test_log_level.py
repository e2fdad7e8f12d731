"""The log level of a server and of an ingest worker changes without a restart."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import grpc
import pytest

from ondeck_client import BattedBall, Client
from ondeck_server.supervisor.log_level import is_local
from ondeck_store.database import Database
from tests.fixtures.server import RunningServer, serving
from tests.integration.test_cli import ondeck

INVALID = BattedBall(launch_speed=9999, launch_angle=20)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def server(small_repository: Path, log: Path) -> Iterator[RunningServer]:
    with serving(small_repository, log=log, log_level="error", log_format="json") as running:
        yield running


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def is_logged_by_worker(server: RunningServer, log: Path, correlation_id: str) -> bool:
    with Client(server.target) as client, suppress(grpc.RpcError):
        client.predict("batted_ball", INVALID, correlation_id=correlation_id)
    time.sleep(0.3)
    return correlation_id in log.read_text()


def post(url: str, body: bytes, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310  the page of a local server
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  as above
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_the_level_of_every_process_of_a_server_changes_also_of_later_workers(server: RunningServer, log: Path) -> None:
    assert not is_logged_by_worker(server, log, "at level error")
    done = ondeck("log-level", "info", "--admin", server.admin)
    assert (done.returncode, done.stdout) == (0, f"the server at {server.admin} logs info and above\n")
    wait_for(lambda: is_logged_by_worker(server, log, "at level info"))

    (worker,) = server.workers()
    worker.kill()
    wait_for(lambda: [each.pid for each in server.workers()] not in ([], [worker.pid]))
    wait_for(lambda: is_logged_by_worker(server, log, "of the next worker"))
    assert '"worker_started"' in log.read_text()  # by the supervisor

    assert post(f"{server.admin}/log-level", b"ERROR\n") == (200, "error\n")
    wait_for(lambda: not is_logged_by_worker(server, log, f"at level error again {time.monotonic()}"))


def test_the_page_refuses_other_levels_and_requests_of_web_pages(server: RunningServer) -> None:
    before = urllib.request.urlopen(f"{server.admin}/log-level", timeout=10).read()  # noqa: S310  as above
    assert post(f"{server.admin}/log-level", b"loud")[0] == 400
    for name in ("Origin", "Sec-Fetch-Site", "X-Forwarded-For"):
        assert post(f"{server.admin}/log-level", b"debug", **{name: "http://example.com"})[0] == 403
    assert urllib.request.urlopen(f"{server.admin}/log-level", timeout=10).read() == before  # noqa: S310  as above


@pytest.mark.parametrize("page", ["/log-level", "/metrics", "/livez", "/absent"])
def test_no_other_site_reads_or_embeds_a_page(server: RunningServer, page: str) -> None:
    connection = HTTPConnection(server.admin.removeprefix("http://"), timeout=10)
    connection.request("GET", page)
    headers = connection.getresponse().headers
    connection.close()
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.7", False), ("", False), (None, False)],
)
def test_only_this_machine_may_change_the_level(address: str | None, *, expected: bool) -> None:
    assert is_local(address) is expected


def test_a_server_that_does_not_answer_is_an_error(free_port: int) -> None:
    done = ondeck("log-level", "debug", "--admin", f"http://127.0.0.1:{free_port}")
    assert done.returncode == 1
    assert "does not answer" in done.stderr


def test_the_level_of_an_ingest_worker_changes(store_home: Path, database: Database) -> None:
    variables = {"ONDECK_LOG_LEVEL": "error", "ONDECK_SCHEDULE_INTERVAL_SECONDS": "1", "ONDECK_LOOKBACK_DAYS": "1"}
    file = store_home / "level.jsonl"
    words = [sys.executable, "-m", "ondeck_cli", "ingest", "worker", "--home", str(store_home)]
    environment = {**os.environ, **variables, "ONDECK_LOG_FILE": str(file), "ONDECK_SAVANT_URL": "http://127.0.0.1:9"}
    worker = subprocess.Popen(words, env=environment)

    def has_changed() -> bool:
        done = ondeck("log-level", "info", "--ingest", "--home", str(store_home))
        assert done.returncode == 0, done.stderr
        time.sleep(3)
        return file.exists() and '"level": "info"' in file.read_text()

    try:
        wait_for(has_changed)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert database.described
