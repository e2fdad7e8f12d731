"""What a server holds, as it says itself and as the operating system does."""

import re
import time
import urllib.request
from dataclasses import dataclass

import psutil

from tests.fixtures_server import RunningServer

_STEADY_FOR = 3.0  # seconds without a change, longer than the server takes to measure anew
_PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Held:
    """Leases, open graphs and tasks of all workers together."""

    leases: int
    sessions: int
    tasks: int


def held(server: RunningServer) -> Held:
    """Read what is held now."""
    found = {
        name: int(float(value)) for name, value in re.findall(r"^ondeck_(\w+) (\S+)$", _page(server), re.MULTILINE)
    }
    return Held(leases=found["leases"], sessions=found["sessions"], tasks=found["tasks"])


def held_at_rest(server: RunningServer, wanted: Held | None = None) -> Held:
    """Wait until what is held stays the same, or is what is wanted; give what it is when the time is over."""
    end, seen, since = time.monotonic() + _PATIENCE, held(server), time.monotonic()
    while seen != wanted and time.monotonic() < end:
        time.sleep(0.2)
        now = held(server)
        if now != seen:
            seen, since = now, time.monotonic()
        if wanted is None and time.monotonic() - since > _STEADY_FOR:
            break
    return seen


def loads(server: RunningServer) -> int:
    """Count how often a worker has loaded a version."""
    found = re.findall(r'^ondeck_loads_total\{.*end="loaded".*\} (\S+)$', _page(server), re.MULTILINE)
    return int(sum(map(float, found)))


def memory(server: RunningServer) -> list[float]:
    """Tell how much memory each worker holds, in MiB."""
    workers = psutil.Process(server.process.pid).children()
    return [float(each.memory_info().rss) / (1 << 20) for each in sorted(workers, key=lambda each: each.pid)]


def _page(server: RunningServer) -> str:
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=20) as response:  # noqa: S310  a page of our own
        return str(response.read().decode())
