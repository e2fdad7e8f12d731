"""The supervisor's policy: returns the next actions from the states of the workers and the time. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ondeck_runtime.backoff import backoff_seconds
from ondeck_server.ipc.messages import WorkerStatus

START_TIMEOUT: Final = 300.0  # seconds for a worker to become ready, and to listen
KILL_AFTER: Final = 5.0  # seconds between the end of a worker's grace period and SIGKILL
STABLE_SECONDS: Final = 30.0  # a worker that ran so long did not fail because of how it starts
FIRST_RESTART_DELAY: Final = 0.5
LONGEST_RESTART_DELAY: Final = 30.0
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
    """A worker: its number, the generation it was started for, its phase and when that began (seconds)."""

    number: int
    generation: int
    phase: Phase
    since: float


@dataclass(frozen=True, kw_only=True)
class PoolState:
    """The workers, how many are desired and of which generation; no worker is started before `start_at` (seconds)."""

    members: tuple[WorkerSnapshot, ...]
    desired: int
    generation: int
    start_at: float
    grace: float

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
    moments = [_overdue_at(pool, member) for member in pool.members]
    later = [moment for moment in (*moments, pool.start_at) if moment is not None and moment > now]
    return min(later) - now if later else None


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
    return list(dict.fromkeys(reason for status in statuses for reason in status.missing))


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
        Kill(member.number, f"still {member.phase.value} after {now - member.since:.0f} s")
        for member in pool.members
        if (moment := _overdue_at(pool, member)) is not None and moment <= now
    )


def _overdue_at(pool: PoolState, member: WorkerSnapshot) -> float | None:
    match member.phase:
        case Phase.STARTING | Phase.ACTIVATING:
            return member.since + START_TIMEOUT
        case Phase.RETIRING:
            return member.since + pool.grace + KILL_AFTER
        case _:
            return None
