"""What a server holds, as it says itself and as the operating system does."""

import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.fixtures.server import RunningServer

_STEADY_FOR = 3.0  # seconds without a change, longer than the server takes to measure anew
_PATIENCE = 60.0
_LOOK_EVERY = 0.05


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
    return Held(leases=found["leases"], sessions=found["onnx_sessions"], tasks=found["asyncio_tasks"])


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
    found = re.findall(r'^ondeck_model_loads_total\{.*result="loaded".*\} (\S+)$', _page(server), re.MULTILINE)
    return int(sum(map(float, found)))


class Memory:
    """How much each worker holds, in MiB; looked at all the time, for within a reload two versions are open."""

    def __init__(self, server: RunningServer) -> None:
        children = psutil.Process(server.process.pid).children()
        self._workers = sorted(children, key=lambda each: each.pid)
        self._samples: list[list[float]] = []

    def least(self) -> list[float]:
        """Tell for each worker the least that it held since the last time that this was asked."""
        self.look()
        samples, self._samples = self._samples, []
        return [min(each) for each in zip(*samples, strict=True)]

    def look(self) -> None:
        """Take a sample."""
        self._samples.append([float(each.memory_info().rss) / (1 << 20) for each in self._workers])


@contextmanager
def watched_memory(server: RunningServer) -> Iterator[Memory]:
    """Look at the memory of the workers for as long as the block."""
    memory, over = Memory(server), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_EVERY):
            memory.look()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield memory
    finally:
        over.set()
        looking.join()


def _page(server: RunningServer) -> str:
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=20) as response:  # noqa: S310  a page of our own
        return str(response.read().decode())
