"""Requests that wait for a run, and which of them the next run takes. Runs nothing itself."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix

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
    """Queued rows of one call, of shape (n, columns); `result` receives their outputs."""

    rows: Matrix
    result: asyncio.Future[Outputs]
    queued_at: float

    @property
    def is_cancelled(self) -> bool:
        """Return whether the caller no longer waits."""
        return self.result.done()


class RowReservation:
    """Queue capacity of an admitted call whose rows arrive in parts; its owner releases it."""

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
    """At most `limit` queued rows; first come, first served within a priority."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_priority: tuple[deque[PendingRequest], ...] = tuple(deque() for _ in Priority)
        self._rows = [0 for _ in Priority]
        self._reserved = 0

    @property
    def rows(self) -> int:
        """Number of queued and reserved rows."""
        return sum(self._rows) + self._reserved

    def reserve(self, rows: int) -> RowReservation:
        """Reserve capacity for rows that are put into the queue later, in parts."""
        self._reserved += rows
        return RowReservation(self, rows)

    def rows_ahead(self, priority: Priority) -> int:
        """Count the rows that run before a new request of this priority."""
        return self._rows[Priority.INTERACTIVE] if priority is Priority.INTERACTIVE else self.rows

    def check_capacity(self, rows: int) -> None:
        """Check that the queue has capacity for these rows; an empty queue accepts a call of any size.

        Raises:
            QueueFullError: it has not.
        """
        if self.rows and self.rows + rows > self._limit:
            raise QueueFullError(f"the queue holds {self.rows} of at most {self._limit} rows; try again shortly")

    def release_reserved(self, rows: int) -> None:
        """Release reserved capacity."""
        self._reserved -= rows

    def put(self, request: PendingRequest, priority: Priority) -> None:
        """Append a request."""
        self._by_priority[priority].append(request)
        self._rows[priority] += len(request.rows)

    def has_next(self, priority: Priority, capacity: int) -> bool:
        """Return whether the first request of a priority fits into a run of `capacity` rows."""
        waiting = self._by_priority[priority]
        return bool(waiting) and len(waiting[0].rows) <= capacity

    def take(self, priority: Priority, capacity: int) -> list[PendingRequest]:
        """Remove and return the requests that fit into a run of `capacity` rows; drop cancelled ones."""
        taken: list[PendingRequest] = []
        while self.has_next(priority, capacity):
            first = self._by_priority[priority].popleft()
            self._rows[priority] -= len(first.rows)
            if not first.is_cancelled:
                taken.append(first)
                capacity -= len(first.rows)
        return taken
