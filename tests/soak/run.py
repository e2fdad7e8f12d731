"""The soak: clients call and cancel while versions reload; no response is wrong, no call hangs, nothing leaks."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from tests.fixtures.server import START_SECONDS, RunningServer
from tests.soak.client_processes import run_clients
from tests.soak.reloader import open_reloader
from tests.soak.resources import ServerResources, count_loads, sample_memory, wait_stable_resources

CLIENT_MODULE: Final = "tests.soak.cancelling_clients"
CLIENTS: Final = 24
WARM_UP_RELOADS: Final = 50  # memory must not grow after these
_SAMPLES: Final = 25  # of memory, averaged


@dataclass(frozen=True, kw_only=True)
class SoakPlan:
    """Reloads and least number of cancels; `seconds` is the time limit for cancels after the last reload."""

    reloads: int
    cancels: int
    seconds: float


@dataclass(kw_only=True)
class SoakResult:
    """Counts of a soak; `loads` sums the loads of all workers, `memory` is that of each between reloads, in MiB."""

    reloads: int = 0
    loads: int = 0
    seconds: float = 0.0
    seen: dict[str, Any] = field(default_factory=dict)
    before: ServerResources
    after: ServerResources
    memory: list[list[float]] = field(default_factory=list)

    @property
    def memory_warm(self) -> list[float]:
        """Return the memory of each worker after the warm-up, in MiB."""
        return _means(self.memory[WARM_UP_RELOADS : WARM_UP_RELOADS + _SAMPLES])

    @property
    def memory_end(self) -> list[float]:
        """Return the memory of each worker at the end, in MiB."""
        return _means(self.memory[-_SAMPLES:])

    @property
    def growth(self) -> float:
        """Return the relative growth of the memory of all workers between the two."""
        return sum(self.memory_end) / sum(self.memory_warm) - 1

    @property
    def growth_by_worker(self) -> list[float]:
        """Return the growth of each worker; it varies by some percent from sample to sample."""
        return [end / warm - 1 for warm, end in zip(self.memory_warm, self.memory_end, strict=True)]


def _means(samples: list[list[float]]) -> list[float]:
    return [fmean(of_one) for of_one in zip(*samples, strict=True)]


def soak(server: RunningServer, models: Path, plan: SoakPlan) -> SoakResult:
    """Soak a server over a repository of siblings with the version policy `aliases`, so that each flip is a reload."""
    rest = wait_stable_resources(server)
    result = SoakResult(before=rest, after=rest)
    begin, loaded = time.monotonic(), count_loads(server)
    with run_clients(CLIENT_MODULE, server.target, models, CLIENTS, plan.cancels) as clients:
        clients.expect_line("started", START_SECONDS)
        with open_reloader(models, server.target) as reloader, sample_memory(server) as memory:
            for number in range(plan.reloads):
                reloader.reload(number)
                result.memory.append(memory.take_minimum())
        result.reloads = plan.reloads
        clients.expect_line("cancelled", plan.seconds)
    result.seconds = time.monotonic() - begin
    result.seen, result.loads = clients.seen, count_loads(server) - loaded
    result.after = wait_stable_resources(server, rest)
    return result
