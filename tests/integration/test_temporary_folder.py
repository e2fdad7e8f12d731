"""No command leaves a folder in the directory for temporary files, also when it is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from tests.factories.statcast_rows import as_csv, sample_cells

ANY_PORT = ("--port", "0", "--admin-port", "0", "--workers", "1")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir(mode=0o1777)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose socket has a path that is too long for PostgreSQL."""
    return tmp_path / ("h" * 60) / ("o" * 60)


@contextmanager
def started(temporary: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ondeck_cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def folders(temporary: Path) -> list[str]:
    """List the folders; ONNX Runtime writes one file of its own, `.ses`."""
    return [path.name for path in temporary.iterdir() if path.is_dir()]


def run(temporary: Path, *words: str) -> int:
    with started(temporary, *words) as process:
        process.communicate(timeout=300)
    assert folders(temporary) == []
    return process.returncode


def serve(temporary: Path, models: Path, home: Path) -> "subprocess.Popen[str]":
    words = ("serve", *ANY_PORT, "--model-repository", str(models), "--home", str(home))
    with started(temporary, *words) as process:
        assert process.stdout is not None
        assert any(line.startswith("serving ") for line in process.stdout)
        assert not any(name.startswith("ondeck-metrics-") for name in folders(temporary))  # they are in memory
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    return process


def test_ingest_and_players_leave_no_folder(temporary: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_bytes(as_csv(sample_cells(date(2022, 6, 1), days=1)))
    in_home = ("--home", str(home))
    assert run(temporary, "ingest", "files", str(tmp_path / "day.csv"), *in_home) == 0
    assert run(temporary, "ingest", "status", *in_home) == 0
    assert run(temporary, "ingest", "days", "2024-12-24", *in_home) == 0
    assert run(temporary, "players", "resolve", "Unknown Player", *in_home) == 3
    assert run(temporary, "train", "whiff", "--model-repository", str(tmp_path / "models"), *in_home) == 1


def test_the_commands_for_models_leave_no_folder(temporary: Path, root: Path, tmp_path: Path) -> None:
    graph = root / "onnx_models" / "whiff" / "1" / "model.onnx"
    models = ("--model-repository", str(tmp_path / "models"))
    assert run(temporary, "models", "verify", "whiff", "--model-repository", str(root / "onnx_models")) == 0
    assert run(temporary, "models", "import", "mine", str(graph), *models) == 0
    assert run(temporary, "models", "list", *models) == 0


def test_a_server_leaves_no_folder_and_removes_those_of_a_killed_one(temporary: Path, root: Path, home: Path) -> None:
    models = root / "onnx_models"
    with started(temporary, "serve", *ANY_PORT, "--model-repository", str(models), "--home", str(home)) as killed:
        assert killed.stdout is not None
        assert any(line.startswith("serving ") for line in killed.stdout)
        os.kill(killed.pid, signal.SIGKILL)
    assert folders(temporary) != []
    serve(temporary, models, home)
    assert folders(temporary) == []
