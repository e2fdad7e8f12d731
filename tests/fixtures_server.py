"""A real server in a process of its own, on free ports of the loopback, ended by its own pid."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 150


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """Where a server listens, and its process."""

    target: str
    admin: str
    process: "subprocess.Popen[str]"


@contextmanager
def serving(
    models: Path, *words: str, notice_seconds: float = 0, log: Path | None = None, **settings: object
) -> Iterator[RunningServer]:
    """Run `ondeck serve` over a repository for as long as the block, its log in a file.

    `settings` are ONDECK_... in small letters.
    """
    command = [sys.executable, "-m", "ondeck_cli", "serve", "--models", str(models), "--port", "0", "--admin-port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "ONDECK_NOTICE_SECONDS": str(notice_seconds)}
    environment |= {"ONDECK_PROCESSES": "1"} | {
        f"ONDECK_{name.upper()}": str(value) for name, value in settings.items()
    }
    with tempfile.TemporaryDirectory() as home:  # no database in there, unless `words` name one
        command += ["--home", home]
        with log.open("w") if log else nullcontext() as stderr:
            process = subprocess.Popen(
                [*command, *words], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
            )
        try:
            yield _announced(process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _announced(process: "subprocess.Popen[str]") -> RunningServer:
    assert process.stdout is not None
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    found = re.fullmatch(r"serving .* on (\S+); admin pages on (\S+)\n", line)
    assert found, f"the server said {line!r}"
    return RunningServer(target=found.group(1), admin=found.group(2), process=process)


@pytest.fixture(scope="session")
def running_server(small_repository: Path) -> Iterator[RunningServer]:
    with serving(small_repository) as server:
        yield server
