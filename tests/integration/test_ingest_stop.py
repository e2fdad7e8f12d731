"""SIGTERM and SIGINT while a source does not answer: ingest ends, the day is queued again, nothing counts as failed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text

from ondeck_ingest.jobs.queue import BACKFILL_PRIORITY, REGISTER, enqueue, enqueue_register, summarize_queue
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import days_of
from tests.conformance.stock_client import wait_until
from tests.fixtures.savant import FakeSavant, Reply
from tests.fixtures.silent_server import STAGES, run_silent_server

DAY: Final = date(2024, 6, 3)
STOP_SECONDS: Final = 2.0
START_SECONDS: Final = 60.0
HOUR: Final = "3600"
# The name server does not answer: the call blocks, and cannot be cancelled.
BLOCK_NAMES: Final = """
import pathlib, socket, time
def getaddrinfo(host, *arguments, **options):
    if host == "savant.test":
        pathlib.Path(__file__).with_name("asked").touch()
        time.sleep(3600)
    return genuine(host, *arguments, **options)
genuine, socket.getaddrinfo = socket.getaddrinfo, getaddrinfo
"""


@contextmanager
def ondeck(home: Path, *words: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    settings = {"ONDECK_SAVANT_TIMEOUT": HOUR, "ONDECK_LOOKBACK_DAYS": "1", "ONDECK_REFETCH_DAYS": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ondeck_cli", *words, "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stop(process: "subprocess.Popen[str]", by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    """Stop a process; returns its exit code and the last line of its errors."""
    begin = time.monotonic()
    process.send_signal(by)
    _, errors = process.communicate(timeout=START_SECONDS)
    busy = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    assert time.monotonic() - begin < STOP_SECONDS * max(1, busy)
    assert "Traceback" not in errors
    return process.returncode, errors.splitlines()[-1]


async def states(database: Database) -> list[str]:
    async with database.engine.connect() as connection:
        return [entry.state for entry in await days_of(connection, "savant", DAY, DAY)]


async def queued(database: Database) -> tuple[int, int]:
    async with database.engine.connect() as connection:
        left = await summarize_queue(connection)
    return left.queued, left.running


def is_opening(process: int) -> bool:
    """Return whether a thread of a process waits for the other end of a pipe."""
    return any("wait_for_partner" in path.read_text() for path in Path(f"/proc/{process}/task").glob("*/wchan"))


@pytest.mark.parametrize("stage", STAGES)
async def test_ingest_days_ends_while_a_request_hangs(stage: str, store_home: Path, database: Database) -> None:
    with (
        run_silent_server(stage) as server,
        ondeck(store_home, "ingest", "days", str(DAY), ONDECK_SAVANT_URL=server.url) as process,
    ):
        assert wait_until(START_SECONDS, lambda: server.has_request(process.pid))
        code, line = stop(process)
    assert (code, line.partition(";")[0]) == (1, "error: stopped")
    assert await states(database) == []


@pytest.mark.parametrize("stage", ["connect", "TLS", "body"])
async def test_a_worker_ends_while_a_request_hangs_and_the_day_is_queued_again(
    stage: str, store_home: Path, database: Database
) -> None:
    async with database.engine.begin() as connection:
        await enqueue(connection, "savant", [DAY], BACKFILL_PRIORITY)
    with (
        run_silent_server(stage) as server,
        ondeck(store_home, "ingest", "worker", ONDECK_SAVANT_URL=server.url) as process,
    ):
        assert wait_until(START_SECONDS, lambda: server.has_request(process.pid))
        assert stop(process) == (0, "ingest worker stopped")
    assert await queued(database) == (1, 0)
    assert await states(database) == ["requested"]


async def test_a_worker_ends_while_the_register_hangs_and_its_job_is_queued_again(
    store_home: Path, database: Database
) -> None:
    async with database.engine.begin() as connection:
        await enqueue_register(connection, DAY)
    with (
        run_silent_server("header") as server,
        ondeck(store_home, "ingest", "worker", ONDECK_CHADWICK_URL=f"{server.url}/register.zip") as process,
    ):
        assert wait_until(START_SECONDS, lambda: server.has_request(process.pid))
        assert stop(process) == (0, "ingest worker stopped")
    async with database.engine.connect() as connection:
        jobs = (await connection.execute(text("SELECT entrypoint, status::text FROM ingest_pgqueuer"))).all()
    assert [tuple(job) for job in jobs] == [(REGISTER, "queued")]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_refresh_of_the_register_ends_while_it_hangs(
    by: signal.Signals, store_home: Path, database: Database
) -> None:
    with (
        run_silent_server("half a header") as server,
        ondeck(store_home, "players", "refresh", ONDECK_CHADWICK_URL=f"{server.url}/register.zip") as process,
    ):
        assert wait_until(START_SECONDS, lambda: server.has_request(process.pid))
        assert stop(process, by) == (1, "error: stopped; the stored players are unchanged")
    assert database.described


async def test_ingest_ends_while_a_name_server_does_not_answer(
    tmp_path: Path, store_home: Path, database: Database
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK_NAMES)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    settings = {"ONDECK_SAVANT_URL": "http://savant.test", "PYTHONPATH": path}
    with ondeck(store_home, "ingest", "days", str(DAY), **settings) as process:
        assert wait_until(START_SECONDS, (tmp_path / "asked").exists)
        assert stop(process)[0] == 1
    assert await states(database) == []


async def test_ingest_ends_between_two_attempts(savant: FakeSavant, store_home: Path, database: Database) -> None:
    savant.otherwise = Reply(status=500)
    settings = {"ONDECK_SAVANT_URL": savant.url, "ONDECK_SAVANT_ATTEMPTS": "20", "ONDECK_BREAKER_FAILURES": "1000"}
    with ondeck(store_home, "ingest", "days", str(DAY), **settings) as process:
        assert wait_until(START_SECONDS, lambda: len(savant.requested_days) > 1)
        assert stop(process)[0] == 1
    assert await states(database) == []


async def test_a_worker_ends_while_it_waits_for_an_open_circuit(
    savant: FakeSavant, store_home: Path, database: Database
) -> None:
    savant.otherwise = Reply(status=403)
    async with database.engine.begin() as connection:
        await enqueue(connection, "savant", [DAY], BACKFILL_PRIORITY)
    settings = {"ONDECK_SAVANT_URL": savant.url, "ONDECK_BREAKER_FAILURES": "1", "ONDECK_BREAKER_RESET_SECONDS": HOUR}
    with ondeck(store_home, "ingest", "worker", **settings) as process:
        assert wait_until(START_SECONDS, lambda: bool(savant.requested_days))
        assert stop(process)[0] == 0
    assert await queued(database) == (1, 0)


def test_ingest_ends_while_a_pipe_has_no_writer(tmp_path: Path, store_home: Path, database: Database) -> None:
    pipe = tmp_path / "day.csv"
    os.mkfifo(pipe)
    with ondeck(store_home, "ingest", "files", str(pipe)) as process:
        assert wait_until(START_SECONDS, lambda: is_opening(process.pid))
        assert stop(process)[0] == 1
    assert database.described
