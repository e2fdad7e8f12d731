"""From the correlation id of one failed call, one command finds the lines of client, server, database and ingest."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ondeck_cli.trace import find_events
from ondeck_store.database import Database
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply
from tests.fixtures.server import serving

ID = "at-bat 7/2024"
DAY = date(2024, 6, 3)
INVALID = ("--launch-speed", "9999", "--launch-angle", "20")


def ondeck(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", *words]
    variables = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=variables)


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def has_event(home: Path, event: str) -> bool:
    return any(each["event"] == event for each in find_events(home / "logs", ID))


@pytest.fixture
def failed_call(store_home: Path, small_repository: Path) -> "subprocess.CompletedProcess[str]":
    with serving(small_repository, "--home", str(store_home)) as server:
        words = ("predict", "batted-ball", *INVALID, "--target", server.target)
        return ondeck(*words, ONDECK_HOME=str(store_home), ONDECK_CORRELATION_ID=ID)


@pytest.fixture
def ingested(store_home: Path, database: Database, savant: FakeSavant) -> None:
    savant.replies = {DAY: Reply(body=as_csv(sample_cells(DAY, days=1)))}
    settings = {"ONDECK_SAVANT_URL": savant.url, "ONDECK_SLOW_STATEMENT_SECONDS": "0.000001"}
    home = ("--home", str(store_home))
    enqueued = ondeck("ingest", "backfill", str(DAY), str(DAY), *home, ONDECK_CORRELATION_ID=ID, **settings)
    assert enqueued.returncode == 0, enqueued.stderr
    worker = subprocess.Popen(
        [sys.executable, "-m", "ondeck_cli", "ingest", "worker", *home], env={**os.environ, **settings}
    )
    try:
        wait_for(lambda: has_event(store_home, "job_succeeded"))
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert database.described


def test_one_command_finds_what_every_program_logged_about_an_id(
    failed_call: "subprocess.CompletedProcess[str]", ingested: None, store_home: Path
) -> None:
    assert ingested is None
    assert failed_call.returncode == 1
    done = ondeck("trace", ID, "--home", str(store_home), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found = {(each["program"], each["event"]) for each in events}
    assert found >= {
        ("cli", "request_failed"),
        ("server", "call_rejected"),
        ("ingest", "jobs_enqueued"),
        ("ingest", "statement_slow"),
        ("ingest", "job_succeeded"),
    }
    assert {each["correlation_id"] for each in events} == {ID}
    assert [each["timestamp"] for each in events] == sorted(each["timestamp"] for each in events)
    statements = {each["statement"] for each in events if each["event"] == "statement_slow"}
    assert any(each.endswith("pitches") for each in statements)
    assert "9999" not in done.stdout

    readable = ondeck("trace", ID, "--logs", str(store_home / "logs"))
    assert readable.returncode == 0
    assert len(readable.stdout.splitlines()) == len(events)
    assert "call_rejected method=/ondeck.v1.PredictionService/Predict code=INVALID_ARGUMENT" in readable.stdout


def test_an_id_without_lines_is_an_error(tmp_path: Path) -> None:
    done = ondeck("trace", "unknown", "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no log files" in done.stderr
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.jsonl").write_text('{"correlation_id": "other unknown"}\nunknown, cut\n')
    done = ondeck("trace", "unknown", "--home", str(tmp_path))
    assert done.returncode == 1
    assert "no line in the 1 log files" in done.stderr


def test_a_traceback_stays_with_its_line(tmp_path: Path) -> None:
    event = {"event": "call_failed", "program": "server", "level": "error", "correlation_id": "one"}
    lines = [
        {**event, "timestamp": "2026-01-01T00:00:02Z", "exception": "Traceback:\n  \x1b[31mforged"},
        {**event, "timestamp": "2026-01-01T00:00:01Z", "event": "call_slow"},
    ]
    (tmp_path / "server.jsonl.1").write_text(json.dumps(lines[0]) + "\n")
    (tmp_path / "server.jsonl").write_text(json.dumps(lines[1]) + "\n")
    done = ondeck("trace", "one", "--logs", str(tmp_path))
    assert done.stdout.splitlines() == [
        "2026-01-01T00:00:01Z server   error   call_slow",
        "2026-01-01T00:00:02Z server   error   call_failed",
        "    Traceback:",
        r"      \x1b[31mforged",
    ]
