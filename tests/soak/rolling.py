"""A server whose workers are replaced and whose alias is moved to and fro, under a steady load."""

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.fixtures.server import START_SECONDS, RunningServer
from tests.soak.reloads import reloads
from tests.soak.subprocesses import asking

LONGEST_SECONDS: Final = 300
AGE_SECONDS: Final = 2  # of connections: a worker that retires waits for them to leave
DRAIN_SECONDS: Final = 1  # then streams that go on are cut; the client opens them again


@dataclass(kw_only=True)
class Rolled:
    """What came of it."""

    flips: int = 0
    seconds: float = 0.0
    seen: dict[str, Any] = field(default_factory=dict)


def roll(server: RunningServer, models: Path, *, rate: float, flips: int) -> Rolled:
    """Flip at least so many times, and until every worker is replaced, while `rate` calls a second come in."""
    before, rolled = workers(server), Rolled()
    begin = time.monotonic()
    with (
        asking("tests.soak.steady_load", server.target, models, rate) as others,
        reloads(models, server.target) as moving,
    ):
        others.hear("asking", START_SECONDS)
        while rolled.flips < flips or workers(server) & before:
            if rolled.flips == flips // 4:
                server.process.send_signal(signal.SIGHUP)
            moving.flip()
            rolled.flips += 1
            if time.monotonic() - begin > LONGEST_SECONDS:
                raise TimeoutError(f"{rolled.flips} flips, and of the workers {before} there are {workers(server)}")
    rolled.seconds = time.monotonic() - begin
    rolled.seen = others.seen
    return rolled


def workers(server: RunningServer) -> set[int]:
    """Tell the ids of the workers."""
    found = psutil.Process(server.process.pid).children()
    return {each.pid for each in found if each.status() != psutil.STATUS_ZOMBIE}
