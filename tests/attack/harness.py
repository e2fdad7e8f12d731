"""Runs attacks on a real server with one worker, and measures what a neighbour, memory, metrics and log show."""

import json
import re
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil

from tests.attack.attack import Attack, Round
from tests.attack.neighbour import Latencies
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.tls import Authority

RATE: Final = 200.0  # calls of the neighbour a second
MAX_P99_MS: Final = 100.0
MAX_P99_RATIO: Final = 2.0
MAX_MEMORY: Final = 1.5  # during the attack, of the base
_TRIES: Final = 3  # of an attack on a busy machine
_COUNTER_SECONDS: Final = 3.0  # until the metrics page shows it
_PAUSE: Final = 0.05  # seconds between two rounds
SHORT_TIMEOUTS: Final[dict[str, Any]] = {  # those that a slow client reaches in seconds, as others do on a busy machine
    "keepalive_seconds": 1,
    "keepalive_timeout_seconds": 1.5,
    "request_timeout_seconds": 1.5,
}
_SERIES: Final = re.compile(r"^(\w+_total\{.*\}) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Durations:
    """Seconds of an attack, of quiet before it, and at most until memory is back; `memory_after` is its bound then."""

    attack: float
    quiet: float
    after: float
    memory_after: float


SHORT: Final = Durations(attack=0.4, quiet=0.4, after=10.0, memory_after=1.3)
LONG: Final = Durations(attack=10.0, quiet=3.0, after=30.0, memory_after=1.05)


@dataclass(kw_only=True)
class Result:
    """What was seen of one attack; memory as a multiple of the base."""

    quiet: Latencies
    during: Latencies
    answers: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    peak: float = 0.0
    after: float = 0.0
    moved: list[str] = field(default_factory=list)
    has_traceback: bool = False
    is_alive: bool = True

    @property
    def p99_bound(self) -> float:
        """Milliseconds that the p99 of the neighbour may reach."""
        return max(MAX_P99_RATIO * self.quiet.p99, MAX_P99_MS)

    def faults(self, attack: Attack, durations: Durations, *, is_default: bool) -> list[str]:
        """Return what does not hold; the answers and the counter are those of the default transport.

        Of grpcio, latencies and memory are compared in the long form only, which needs a quiet machine.
        """
        found = []
        if self.during.failed:
            found.append(f"{self.during.failed} failed calls: {self.during.errors}")
        if self.has_traceback:
            found.append("a traceback")
        if not self.is_alive:
            found.append("the worker died")
        if is_default or durations is not SHORT:
            found += self._faults_of_sizes(durations)
        if is_default:
            found += self._faults_of_answer(attack)
        return found

    def _faults_of_sizes(self, durations: Durations) -> list[str]:
        found = []
        if not self.during.calls or self.during.p99 > self.p99_bound:
            found.append(f"p99 {self.during.p99:.0f} ms of {self.during.calls} calls, quiet {self.quiet.p99:.0f} ms")
        if self.peak > MAX_MEMORY:
            found.append(f"memory {self.peak:.2f} x")
        if self.after > durations.memory_after:
            found.append(f"memory {self.after:.2f} x afterwards")
        return found

    def _faults_of_answer(self, attack: Attack) -> list[str]:
        found = []
        if not self.answers.keys() <= set(attack.answers) or (attack.is_answered and not self.answers):
            found.append(f"answers {self.answers}")
        if attack.counters and not _has_moved(attack, self.moved):
            found.append(f"no counter moved, but {self.moved}")
        return found


class AttackedServer:
    """A server, its neighbour and what can be measured of it."""

    def __init__(
        self, server: RunningServer, worker: psutil.Process, neighbour: "subprocess.Popen[str]", log: Path, ca_file: str
    ) -> None:
        self._server = server
        self._neighbour = neighbour
        self._log = log
        self._tls = _context(ca_file) if ca_file else None
        self._worker = worker

    def attack(self, attack: Attack, durations: Durations) -> Result:
        """Attack; again, and for longer, if the machine was too busy to find out why the neighbour had to wait.

        Also if it was too busy to send as much as a limit permits: then no counter has moved.
        """
        for number in range(_TRIES):
            result = self._attack(attack, replace(durations, attack=durations.attack * 3**number))
            has_waited = not result.during.calls or result.during.p99 > result.p99_bound
            is_below_limits = bool(attack.counters) and not _has_moved(attack, result.moved)
            if not is_below_limits and not (has_waited and (result.during.discarded or result.quiet.discarded)):
                break
        return result

    def _attack(self, attack: Attack, durations: Durations) -> Result:
        self.take()
        time.sleep(durations.quiet)
        quiet = self.take()
        base, before, logged = self._reset_peak(), self._counters(), self._log.stat().st_size
        answers, rounds = self._run(attack, max(durations.attack, attack.least_seconds))
        result = Result(quiet=quiet, during=self.take(), answers=answers, rounds=rounds)
        result.peak = self._memory("VmHWM") / base
        result.after = self._wait_for_memory(base, durations)
        result.moved = self._wait_for_counter(attack, before)
        with self._log.open() as log:
            log.seek(logged)
            result.has_traceback = "Traceback" in log.read()
        result.is_alive = self._worker.is_running()
        return result

    def _run(self, attack: Attack, seconds: float) -> tuple[dict[str, int], int]:
        end, answers, rounds = time.monotonic() + seconds, dict[str, int](), 0
        while time.monotonic() < end:
            round_ = Round(target=self._server.target, tls=self._tls, end=end)
            try:
                answer = attack.run(round_)
                if attack.is_answered:
                    round_.wait_answer()
            except OSError:  # refused or reset while it connected
                answer = None
            finally:
                round_.close()
            rounds += 1
            for what, number in (answer.seen if answer else {}).items():
                answers[what] = answers.get(what, 0) + number
            time.sleep(_PAUSE)
        return answers, rounds

    def take(self) -> Latencies:
        """Return the latencies of the neighbour since the last call."""
        assert self._neighbour.stdin is not None
        assert self._neighbour.stdout is not None
        self._neighbour.stdin.write("\n")
        self._neighbour.stdin.flush()
        return Latencies(**json.loads(self._neighbour.stdout.readline()))

    def _reset_peak(self) -> float:
        Path(f"/proc/{self._worker.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def _memory(self, name: str) -> float:
        lines = Path(f"/proc/{self._worker.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(name))

    def _wait_for_memory(self, base: float, durations: Durations) -> float:
        end = time.monotonic() + durations.after
        while True:
            relative = self._memory("VmRSS") / base
            if relative <= durations.memory_after or time.monotonic() > end:
                return relative
            time.sleep(0.1)

    def _wait_for_counter(self, attack: Attack, before: dict[str, float]) -> list[str]:
        """Return the series of the attack that have moved; a call counts once its stream is closed."""
        end = time.monotonic() + _COUNTER_SECONDS
        while True:
            after = self._counters()
            moved = [each for each in after if after[each] > before.get(each, 0)]
            found = sorted(each for each in moved if _has_moved(attack, [each]))
            if found or not attack.counters:
                return found
            if time.monotonic() > end:
                return [f"other: {each}" for each in moved]
            time.sleep(0.1)

    def _counters(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self._server.admin}/metrics", timeout=20) as response:  # noqa: S310  the server's own address
            return {series: float(value) for series, value in _SERIES.findall(response.read().decode())}


@contextmanager
def attacked(
    models: Path,
    folder: Path,
    transport: str,
    authority: Authority | None = None,
    *,
    has_short_timeouts: bool = False,
) -> Iterator[AttackedServer]:
    """Serve models with a neighbour for as long as the block; with `authority` over TLS."""
    tls: dict[str, Any] = {}
    ca_file = ""
    if authority is not None:
        pair = authority.sign("127.0.0.1")
        tls, ca_file = {"tls_certificate": pair.certificate, "tls_key": pair.key}, str(authority.file)
    timeouts = SHORT_TIMEOUTS if has_short_timeouts else {}
    log = folder / f"{transport}{'-tls' if ca_file else ''}{'-short' if timeouts else ''}.log"
    with serving(models, transport=transport, log=log, **timeouts, **tls) as server:
        workers = psutil.Process(server.process.pid).children()
        worker = max(workers, key=lambda each: each.memory_info().rss)
        arguments = [server.target, str(RATE), str(worker.pid), *filter(None, [ca_file])]
        command = [sys.executable, "-m", "tests.attack.neighbour", *arguments]
        neighbour = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            found = AttackedServer(server, worker, neighbour, log, ca_file)
            found.take()
            time.sleep(1)  # warm up
            yield found
        finally:
            neighbour.kill()
            neighbour.wait()


def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    return context


def _has_moved(attack: Attack, moved: Sequence[str]) -> bool:
    """Return whether one of the series is a counter of the attack."""
    return any(counter in each for each in moved for counter in attack.counters)
