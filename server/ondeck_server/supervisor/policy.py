"""What to do next with the workers. Decided here, from what they are and what time it is; done elsewhere."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ondeck_runtime.backoff import backoff_seconds

START_SECONDS: Final = 300.0  # a worker that has not settled by then never will
KILL_AFTER: Final = 5.0  # seconds beyond its grace that a worker gets to end
STEADY: Final = 30.0  # seconds; a worker that lived so long did not die of how it starts
FIRST_RESTART_DELAY: Final = 0.5
LONGEST_RESTART_DELAY: Final = 30.0
FIRST_TRIES: Final = 3  # deaths before the server has ever taken calls; more, and it gives up


class Phase(Enum):
    """How far a worker has come."""

    STARTING = "starting"
    READY = "ready"  # settled, and serves whatever the whole serves
    ACTIVATING = "activating"  # to listen
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
    """The workers that there are, and what ought to be; no worker is started before `start_at` (seconds)."""

    members: tuple[WorkerSnapshot, ...]
    wanted: int
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
    """Tell a worker to take calls."""

    number: int


@dataclass(frozen=True)
class Retire:
    """Tell a worker to finish its calls and end."""

    number: int


@dataclass(frozen=True)
class Kill:
    """End a worker that will not."""

    number: int
    reason: str


Action: TypeAlias = Start | Listen | Retire | Kill


def next_actions(pool: PoolState, now: float) -> tuple[Action, ...]:
    """Tell what brings the pool nearer to what ought to be.

    Workers of an earlier generation are replaced one at a time: a new one takes calls before an old one is told to
    end, and the next is started after that one has ended.
    """
    return (*_kill(pool, now), *(Listen(member.number) for member in pool.in_phase(Phase.READY)), *_change(pool, now))


def next_deadline(pool: PoolState, now: float) -> float | None:
    """Tell in how many seconds time alone may change what is to be done; None: never."""
    moments = [_overdue_at(pool, member) for member in pool.members]
    later = [moment for moment in (*moments, pool.start_at) if moment is not None and moment > now]
    return min(later) - now if later else None


def failures_after(failures: int, lived: float) -> int:
    """Count the deaths in a row, after that of a worker that had lived so many seconds."""
    return 0 if lived >= STEADY else failures + 1


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before the next start after so many failures in a row."""
    return backoff_seconds(failures, first=FIRST_RESTART_DELAY, longest=LONGEST_RESTART_DELAY)


def _change(pool: PoolState, now: float) -> tuple[Action, ...]:
    coming = pool.in_phase(Phase.STARTING, Phase.READY, Phase.ACTIVATING)
    listening = pool.in_phase(Phase.LISTENING)
    if len(listening) > pool.wanted:
        return (Retire(listening[0].number),)
    if now < pool.start_at:
        return ()
    lacking = pool.wanted - len(listening) - len(coming)
    if lacking > 0:
        return (Start(),) * lacking
    old = [member for member in listening if member.generation < pool.generation]
    ready_for_the_next = not coming and not pool.in_phase(Phase.RETIRING)
    return (Start(),) if old and ready_for_the_next else ()


def _kill(pool: PoolState, now: float) -> tuple[Action, ...]:
    return tuple(
        Kill(member.number, f"still {member.phase.value} after {now - member.since:.0f} s")
        for member in pool.members
        if (moment := _overdue_at(pool, member)) is not None and moment <= now
    )


def _overdue_at(pool: PoolState, member: WorkerSnapshot) -> float | None:
    match member.phase:
        case Phase.STARTING | Phase.ACTIVATING:
            return member.since + START_SECONDS
        case Phase.RETIRING:
            return member.since + pool.grace + KILL_AFTER
        case _:
            return None
