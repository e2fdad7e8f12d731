"""A real server in a process of its own, on free ports of the loopback, ended by its own pid."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """Where a server listens, and its process."""

    target: str
    admin: str
    process: "subprocess.Popen[str]"


@contextmanager
def serving(
    models: Path,
    *words: str,
    notice_seconds: float = 0,
    settings: Mapping[str, str] = MappingProxyType({}),
    log: Path | None = None,
) -> Iterator[RunningServer]:
    """Run `ondeck serve` over a repository for as long as the block, with more settings, and its log in a file."""
    command = [sys.executable, "-m", "ondeck_cli", "serve", "--models", str(models), "--port", "0", "--admin-port", "0"]
    command += ["--home", str(models / "nowhere")]  # no database, unless `words` name one
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "ONDECK_NOTICE_SECONDS": str(notice_seconds)}
    environment |= {f"ONDECK_{name.upper()}": value for name, value in settings.items()}
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
