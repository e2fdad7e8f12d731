"""A rolling restart of the workers, with alias flips, under a steady load."""

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.fixtures.server import START_SECONDS, RunningServer
from tests.soak.client_processes import run_clients
from tests.soak.reloader import open_reloader

TIMEOUT_SECONDS: Final = 300
MAX_CONNECTION_AGE_SECONDS: Final = 2  # a retiring worker waits for its connections to close
DRAIN_SECONDS: Final = 1  # then open streams are cut; the client reopens them


@dataclass(kw_only=True)
class RollingRestartResult:
    """Alias flips, duration, and the counts of the clients."""

    flips: int = 0
    seconds: float = 0.0
    seen: dict[str, Any] = field(default_factory=dict)


def restart_workers(server: RunningServer, models: Path, *, rate: float, flips: int) -> RollingRestartResult:
    """Flip the alias at least `flips` times and until every worker is replaced, at `rate` calls a second."""
    before, result = worker_pids(server), RollingRestartResult()
    begin = time.monotonic()
    with (
        run_clients("tests.soak.steady_clients", server.target, models, rate) as clients,
        open_reloader(models, server.target) as reloader,
    ):
        clients.expect_line("started", START_SECONDS)
        while result.flips < flips or worker_pids(server) & before:
            if result.flips == flips // 4:
                server.process.send_signal(signal.SIGHUP)
            reloader.flip()
            result.flips += 1
            if time.monotonic() - begin > TIMEOUT_SECONDS:
                raise TimeoutError(f"{result.flips} flips, and of the workers {before} there are {worker_pids(server)}")
    result.seconds = time.monotonic() - begin
    result.seen = clients.seen
    return result


def worker_pids(server: RunningServer) -> set[int]:
    """Return the process ids of the workers."""
    found = server.workers()
    return {each.pid for each in found if each.status() != psutil.STATUS_ZOMBIE}
