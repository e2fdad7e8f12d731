"""Requests that wait for a run, and which of them the next run takes. Runs nothing itself.

Each priority has an allowance of rows of its own, so bulk rows never take the capacity of interactive ones.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix
from ondeck_runtime.correlation import CorrelatedWork

Outputs: TypeAlias = Sequence[NDArray[Any]]


class QueueFullError(OndeckError):
    """The queue has no capacity for these rows."""


class DeadlineUnmeetableError(OndeckError):
    """The queued rows take longer than the deadline of the call allows."""


class Priority(IntEnum):
    """Scheduling priority, highest first."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(kw_only=True, eq=False, slots=True)
class PendingRequest:
    """Queued rows of one call, of shape (n, columns); `result` receives their outputs, `work` their seconds."""

    rows: Matrix
    result: asyncio.Future[Outputs]
    queued_at: float
    work: CorrelatedWork | None = None

    @property
    def is_cancelled(self) -> bool:
        """Return whether the caller no longer waits."""
        return self.result.done()


class RowReservation:
    """Queue capacity of an admitted bulk call whose rows arrive in parts; its owner releases it."""

    def __init__(self, queue: "RowQueue", rows: int) -> None:
        self._queue = queue
        self.rows = rows

    def consume(self, rows: int) -> None:
        """Release the capacity of rows that are put into the queue now."""
        self.rows -= rows
        self._queue.release_reserved(rows)

    def release(self) -> None:
        """Release the rest; no more rows arrive."""
        self.consume(self.rows)


class RowQueue:
    """Queued rows, at most `limits` of each priority; first come, first served within a priority."""

    def __init__(self, limits: Sequence[int]) -> None:
        self._limits = limits
        self._by_priority: tuple[deque[PendingRequest], ...] = tuple(deque() for _ in Priority)
        self._rows = [0 for _ in Priority]
        self._reserved = 0

    @property
    def rows(self) -> int:
        """Number of queued and reserved rows."""
        return sum(self._rows) + self._reserved

    def reserve(self, rows: int) -> RowReservation:
        """Reserve bulk capacity for rows that are put into the queue later, in parts."""
        self._reserved += rows
        return RowReservation(self, rows)

    def rows_ahead(self, priority: Priority) -> int:
        """Count the rows that run before a new request of this priority."""
        return self._rows[Priority.INTERACTIVE] if priority is Priority.INTERACTIVE else self.rows

    def check_capacity(self, rows: int, priority: Priority) -> None:
        """Check that the queue has capacity for these rows; it accepts a call of any size if it holds none like it.

        Raises:
            QueueFullError: it has not.
        """
        held, limit = self._rows[priority], self._limits[priority]
        held += self._reserved if priority is Priority.BULK else 0
        if held and held + rows > limit:
            kind = priority.name.lower()
            raise QueueFullError(f"the queue holds {held} of at most {limit} {kind} rows; try again shortly")

    def release_reserved(self, rows: int) -> None:
        """Release reserved capacity."""
        self._reserved -= rows

    def put(self, request: PendingRequest, priority: Priority) -> None:
        """Append a request."""
        self._by_priority[priority].append(request)
        self._rows[priority] += len(request.rows)

    def put_back(self, requests: Sequence[PendingRequest], priority: Priority) -> None:
        """Put requests that were taken in front of all others, in their order."""
        self._by_priority[priority].extendleft(reversed(requests))
        self._rows[priority] += sum(len(each.rows) for each in requests)

    def next_rows(self, priority: Priority) -> int:
        """Return the number of rows of the first request of a priority; 0: there is none."""
        waiting = self._by_priority[priority]
        return len(waiting[0].rows) if waiting else 0

    def take(self, priority: Priority, capacity: int, *, is_alone: bool = False) -> list[PendingRequest]:
        """Remove and return the requests that fit into a run of `capacity` rows, at most one with `is_alone`.

        Cancelled requests are dropped.
        """
        taken: list[PendingRequest] = []
        while 0 < self.next_rows(priority) <= capacity and not (taken and is_alone):
            first = self._by_priority[priority].popleft()
            self._rows[priority] -= len(first.rows)
            if not first.is_cancelled:
                taken.append(first)
                capacity -= len(first.rows)
        return taken
