"""The soak: callers ask and go away, versions are reloaded, and nothing is wrong, hangs or is left behind."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from tests.fixtures.server import START_SECONDS, RunningServer
from tests.soak.reloads import reloads
from tests.soak.resources import Held, held_at_rest, loads, watched_memory
from tests.soak.subprocesses import asking

CALLING: Final = "tests.soak.client_process"
CALLERS: Final = 24
WARM: Final = 50  # reloads after which memory is to stay what it is
_MEAN_OF: Final = 25  # samples of memory, for one says little


@dataclass(frozen=True, kw_only=True)
class Length:
    """How much is done, at least; `seconds` is what the callers may take for it after the last reload."""

    reloads: int
    cancels: int
    seconds: float


@dataclass(kw_only=True)
class Soaked:
    """What came of it; `loads` counts those of each worker, `memory` is what each held between reloads, in MiB."""

    reloads: int = 0
    loads: int = 0
    seconds: float = 0.0
    seen: dict[str, Any] = field(default_factory=dict)
    before: Held
    after: Held
    memory: list[list[float]] = field(default_factory=list)

    @property
    def warm(self) -> list[float]:
        """Tell what each worker held once it was warm, in MiB."""
        return _means(self.memory[WARM : WARM + _MEAN_OF])

    @property
    def late(self) -> list[float]:
        """Tell what each worker held at the end, in MiB."""
        return _means(self.memory[-_MEAN_OF:])

    @property
    def growth(self) -> float:
        """Tell by which share the memory of all workers has grown between."""
        return sum(self.late) / sum(self.warm) - 1

    @property
    def growths(self) -> list[float]:
        """Tell that of each worker; from sample to sample it moves by some percent either way."""
        return [late / warm - 1 for warm, late in zip(self.warm, self.late, strict=True)]


def _means(samples: list[list[float]]) -> list[float]:
    return [fmean(of_one) for of_one in zip(*samples, strict=True)]


def soak(server: RunningServer, models: Path, length: Length) -> Soaked:
    """Soak a server that serves a repository of siblings, with the rule `aliases`, so that each flip is a reload."""
    rest = held_at_rest(server)
    soaked = Soaked(before=rest, after=rest)
    begin, loaded = time.monotonic(), loads(server)
    with asking(CALLING, server.target, models, CALLERS, length.cancels) as callers:
        callers.hear("asking", START_SECONDS)
        with reloads(models, server.target) as reloading, watched_memory(server) as memory:
            for number in range(length.reloads):
                reloading.do(number)
                soaked.memory.append(memory.least())
        soaked.reloads = length.reloads
        callers.hear("enough", length.seconds)
    soaked.seconds = time.monotonic() - begin
    soaked.seen, soaked.loads = callers.seen, loads(server) - loaded
    soaked.after = held_at_rest(server, rest)
    return soaked
