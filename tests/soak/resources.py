"""Resources of a server: its own metrics, and memory as the operating system reports it."""

import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.fixtures.server import RunningServer

_STABLE_SECONDS = 3.0  # longer than the interval between two measurements of the server
_TIMEOUT = 60.0
_SAMPLE_INTERVAL = 0.05


@dataclass(frozen=True, kw_only=True)
class ServerResources:
    """Leases, open ONNX sessions and asyncio tasks of all workers together."""

    leases: int
    sessions: int
    tasks: int


def read_resources(server: RunningServer) -> ServerResources:
    """Read the current values from the metrics page."""
    found = {
        name: int(float(value)) for name, value in re.findall(r"^ondeck_(\w+) (\S+)$", _page(server), re.MULTILINE)
    }
    return ServerResources(leases=found["leases"], sessions=found["onnx_sessions"], tasks=found["asyncio_tasks"])


def wait_stable_resources(server: RunningServer, expected: ServerResources | None = None) -> ServerResources:
    """Wait until the values stay the same or are as expected; after the timeout return the last ones."""
    end, seen, since = time.monotonic() + _TIMEOUT, read_resources(server), time.monotonic()
    while seen != expected and time.monotonic() < end:
        time.sleep(0.2)
        now = read_resources(server)
        if now != seen:
            seen, since = now, time.monotonic()
        if expected is None and time.monotonic() - since > _STABLE_SECONDS:
            break
    return seen


def count_loads(server: RunningServer) -> int:
    """Return how many versions the workers have loaded."""
    found = re.findall(r'^ondeck_model_loads_total\{.*result="loaded".*\} (\S+)$', _page(server), re.MULTILINE)
    return int(sum(map(float, found)))


class WorkerMemory:
    """Resident memory of each worker in MiB, sampled continuously: during a reload two versions are open."""

    def __init__(self, server: RunningServer) -> None:
        children = server.workers()
        self._workers = sorted(children, key=lambda each: each.pid)
        self._samples: list[list[float]] = []

    def take_minimum(self) -> list[float]:
        """Return the minimum of each worker since the last call."""
        self.sample()
        samples, self._samples = self._samples, []
        return [min(each) for each in zip(*samples, strict=True)]

    def sample(self) -> None:
        """Take a sample."""
        self._samples.append([float(each.memory_info().rss) / (1 << 20) for each in self._workers])


@contextmanager
def sample_memory(server: RunningServer) -> Iterator[WorkerMemory]:
    """Sample the memory of the workers for as long as the block."""
    memory, over = WorkerMemory(server), threading.Event()

    def run() -> None:
        while not over.wait(_SAMPLE_INTERVAL):
            memory.sample()

    sampler = threading.Thread(target=run)
    sampler.start()
    try:
        yield memory
    finally:
        over.set()
        sampler.join()


def _page(server: RunningServer) -> str:
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=20) as response:  # noqa: S310  the server's own address
        return str(response.read().decode())
