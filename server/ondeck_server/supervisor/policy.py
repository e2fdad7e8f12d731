"""The supervisor's policy: returns the next actions from the states of the workers and the time. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final, TypeAlias

from ondeck_core.errors import without_folders
from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.health_checks import HealthCheck
from ondeck_server.ipc.messages import WorkerStatus

DRAINING: Final = "draining"
START_TIMEOUT: Final = 300.0  # seconds for a worker to become ready, and to listen
KILL_AFTER: Final = 5.0  # seconds between the end of a worker's grace period and SIGKILL
STABLE_SECONDS: Final = 30.0  # a worker that ran so long did not fail because of how it starts
FIRST_RESTART_DELAY: Final = 0.5
LONGEST_RESTART_DELAY: Final = 30.0
SILENT_PART: Final = 0.3  # of the heartbeat timeout: a worker silent for so long counts as not accepting calls
STARTING_TIMEOUTS: Final = 6  # heartbeat timeouts that a starting worker gets: loading may block its event loop
CRASH_LOOP_FAILURES: Final = 3  # failures in a row that are a crash loop
_NOT_SERVING: Final = "the server as a whole does not serve"
MAX_START_FAILURES: Final = 3  # failed workers before the server has ever accepted calls; then it exits


class Phase(Enum):
    """The phase of a worker's life."""

    STARTING = "starting"
    READY = "ready"  # serves everything that the whole server serves
    ACTIVATING = "activating"  # was sent the command to listen
    LISTENING = "listening"
    RETIRING = "retiring"


@dataclass(frozen=True, kw_only=True)
class WorkerSnapshot:
    """A worker: its number, the generation it was started for, its phase and when that began (seconds).

    `heartbeat_at` is the time of its last heartbeat; None: its heartbeats are not monitored.
    """

    number: int
    generation: int
    phase: Phase
    since: float
    heartbeat_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class PoolState:
    """The workers, how many are desired and of which generation; no worker is started before `start_at` (seconds)."""

    members: tuple[WorkerSnapshot, ...]
    desired: int
    generation: int
    start_at: float
    grace: float
    heartbeat_timeout: float = inf

    def in_phase(self, *phases: Phase) -> list[WorkerSnapshot]:
        """List the workers in these phases, the oldest first."""
        found = [member for member in self.members if member.phase in phases]
        return sorted(found, key=lambda member: (member.generation, member.number))


@dataclass(frozen=True)
class Start:
    """Start a worker."""


@dataclass(frozen=True)
class Listen:
    """Let a worker accept calls."""

    number: int


@dataclass(frozen=True)
class Retire:
    """Let a worker finish its calls and exit."""

    number: int


@dataclass(frozen=True)
class Kill:
    """Kill a worker that did not finish its phase in time."""

    number: int
    reason: str


Action: TypeAlias = Start | Listen | Retire | Kill


def next_actions(pool: PoolState, now: float) -> tuple[Action, ...]:
    """Return the actions that bring the pool closer to its desired state.

    Workers of an earlier generation are replaced one at a time: a new one accepts calls before an old one retires, and
    the next is started after that one has exited.
    """
    return (*_kill(pool, now), *(Listen(member.number) for member in pool.in_phase(Phase.READY)), *_resize(pool, now))


def next_deadline(pool: PoolState, now: float) -> float | None:
    """Return in how many seconds the next actions may change without any event; None: never."""
    moments = [moment for member in pool.members for moment in (_overdue_at(pool, member), _silent_at(pool, member))]
    later = [moment for moment in (*moments, pool.start_at) if now < moment < inf]
    return min(later) - now if later else None


def is_silent(pool: PoolState, member: WorkerSnapshot, now: float) -> bool:
    """Return whether the heartbeats of a worker that may accept calls are late."""
    return now >= _silent_at(pool, member)


def failures_after(failures: int, lifetime: float) -> int:
    """Return the failures in a row after a worker died that had lived so many seconds."""
    return 0 if lifetime >= STABLE_SECONDS else failures + 1


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before the next start after so many failures in a row."""
    return backoff_seconds(failures, first=FIRST_RESTART_DELAY, longest=LONGEST_RESTART_DELAY)


def aggregate_serving(statuses: Sequence[WorkerStatus]) -> dict[str, bool]:
    """Map each health name to whether the whole server serves it: only if every worker does."""
    names = dict.fromkeys(name for status in statuses for name in status.serving)
    return {name: all(status.serving.get(name, False) for status in statuses) for name in names}


def can_join(status: WorkerStatus, serving: Mapping[str, bool]) -> bool:
    """Return whether a worker is ready and serves everything that the whole server serves."""
    return status.ready and all(status.serving.get(name, False) for name, serves in serving.items() if serves)


def unready_reasons(statuses: Sequence[WorkerStatus]) -> list[str]:
    """List the reasons why the whole server is not ready, each once."""
    if not statuses:
        return ["no worker accepts calls"]
    if aggregate_serving(statuses).get("", False):
        return []
    return list(dict.fromkeys(reason for status in statuses for reason in status.missing)) or [_NOT_SERVING]


def health_checks(
    *, is_draining: bool, unready: Sequence[str], degraded: Sequence[str], refused: Sequence[str]
) -> tuple[HealthCheck, ...]:
    """Return the checks of the whole server; `workers` and `versions` decide nothing, as the others serve."""
    return (
        HealthCheck(name="shutdown", faults=(DRAINING,) if is_draining else ()),
        HealthCheck(name="models", faults=tuple(reason for reason in unready if reason != DRAINING)),
        HealthCheck(name="workers", faults=tuple(degraded), is_required=False),
        HealthCheck(name="versions", faults=tuple(refused), is_required=False),
    )


def refusals(statuses: Sequence[WorkerStatus]) -> list[str]:
    """List the versions that a worker refuses, and the models of which a part is set aside, each with its reason."""
    return list(dict.fromkeys(f"{name} refused: {why}" for status in statuses for name, why in status.refused.items()))


def degraded_reasons(
    silences: Mapping[int, float], accepting: int, desired: int, failures: int, last_failure: str
) -> list[str]:
    """List which workers are missing or hung, and why; `silences` are seconds without a heartbeat, by pid."""
    reasons = [f"worker {pid} has sent no heartbeat for {seconds:.0f} s" for pid, seconds in silences.items()]
    if accepting < desired:
        reasons.append(f"{accepting} of {desired} workers accept calls")
        if failures >= CRASH_LOOP_FAILURES:
            reasons.append(f"workers failed {failures} times in a row, the last: {without_folders(last_failure)}")
    return reasons


def unknown_exit_reason(code: int) -> str:
    """Return the reason for the end of a server whose workers exit without one."""
    return f"the server's workers exit before they accept calls, the last with exit code {code}; see its last lines"


def _resize(pool: PoolState, now: float) -> tuple[Action, ...]:
    pending = pool.in_phase(Phase.STARTING, Phase.READY, Phase.ACTIVATING)
    listening = pool.in_phase(Phase.LISTENING)
    if len(listening) > pool.desired:
        return (Retire(listening[0].number),)
    if now < pool.start_at:
        return ()
    missing = pool.desired - len(listening) - len(pending)
    if missing > 0:
        return (Start(),) * missing
    old = [member for member in listening if member.generation < pool.generation]
    can_replace = not pending and not pool.in_phase(Phase.RETIRING)
    return (Start(),) if old and can_replace else ()


def _kill(pool: PoolState, now: float) -> tuple[Action, ...]:
    return tuple(
        Kill(
            member.number,
            f"no heartbeat for {now - member.heartbeat_at:.0f} s"
            if member.heartbeat_at is not None and _hung_at(pool, member) <= now
            else f"still {member.phase.value} after {now - member.since:.0f} s",
        )
        for member in pool.members
        if _overdue_at(pool, member) <= now
    )


def _overdue_at(pool: PoolState, member: WorkerSnapshot) -> float:
    match member.phase:
        case Phase.STARTING | Phase.ACTIVATING:
            limit = member.since + START_TIMEOUT
        case Phase.RETIRING:
            limit = member.since + pool.grace + KILL_AFTER
        case _:
            limit = inf
    return min(limit, _hung_at(pool, member))


def _hung_at(pool: PoolState, member: WorkerSnapshot) -> float:
    if member.heartbeat_at is None:
        return inf
    timeouts = STARTING_TIMEOUTS if member.phase in {Phase.STARTING, Phase.READY} else 1
    return member.heartbeat_at + timeouts * pool.heartbeat_timeout


def _silent_at(pool: PoolState, member: WorkerSnapshot) -> float:
    if member.heartbeat_at is None or member.phase in {Phase.STARTING, Phase.READY}:
        return inf
    return member.heartbeat_at + SILENT_PART * pool.heartbeat_timeout
