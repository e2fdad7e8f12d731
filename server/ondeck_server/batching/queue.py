"""Who waits for a run, and who is in the next one: decided without running anything."""

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
    """So many rows wait already that these would wait too long."""


class DeadlineUnmeetableError(OndeckError):
    """The rows that wait already take longer than the caller has time."""


class Priority(IntEnum):
    """Who goes first: in the order that they stand here."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(kw_only=True, eq=False, slots=True)
class PendingRequest:
    """Rows of shape (n, columns) of one caller, what will tell him, and since when he waits."""

    rows: Matrix
    result: asyncio.Future[Outputs]
    queued_at: float

    @property
    def is_cancelled(self) -> bool:
        """Tell whether the caller has gone away."""
        return self.result.done()


class RowReservation:
    """How many rows of a call are still to come; whoever made it ends it, too."""

    def __init__(self, queue: "RowQueue", rows: int) -> None:
        self._queue = queue
        self.rows = rows

    def consume(self, rows: int) -> None:
        """Say that so many are put now."""
        self.rows -= rows
        self._queue.release_reserved(rows)

    def release(self) -> None:
        """Say that no more will come."""
        self.consume(self.rows)


class RowQueue:
    """Rows that wait, at most `limit`; in each priority first come, first served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_priority: tuple[deque[PendingRequest], ...] = tuple(deque() for _ in Priority)
        self._rows = [0 for _ in Priority]
        self._reserved = 0

    @property
    def rows(self) -> int:
        """Count all that wait, and those of admitted calls that will come."""
        return sum(self._rows) + self._reserved

    def reserve(self, rows: int) -> RowReservation:
        """Count rows that will be put later, a part at a time."""
        self._reserved += rows
        return RowReservation(self, rows)

    def rows_ahead(self, priority: Priority) -> int:
        """Count the rows that run before a newcomer of this priority."""
        return self._rows[Priority.INTERACTIVE] if priority is Priority.INTERACTIVE else self.rows

    def check_capacity(self, rows: int) -> None:
        """Refuse rows for which there is no capacity; where nobody waits, a call of any size has it.

        Raises:
            QueueFullError: there is none.
        """
        if self.rows and self.rows + rows > self._limit:
            raise QueueFullError(f"{self.rows} rows wait already, {self._limit} may; try again shortly")

    def release_reserved(self, rows: int) -> None:
        """Count promised rows no longer: they are put now."""
        self._reserved -= rows

    def put(self, request: PendingRequest, priority: Priority) -> None:
        """Let rows wait."""
        self._by_priority[priority].append(request)
        self._rows[priority] += len(request.rows)

    def has_next(self, priority: Priority, capacity: int) -> bool:
        """Tell whether somebody waits who fits into a run of so many rows."""
        waiting = self._by_priority[priority]
        return bool(waiting) and len(waiting[0].rows) <= capacity

    def take(self, priority: Priority, capacity: int) -> list[PendingRequest]:
        """Take those who fit into the next run, in their order; who has given up is dropped."""
        taken: list[PendingRequest] = []
        while self.has_next(priority, capacity):
            first = self._by_priority[priority].popleft()
            self._rows[priority] -= len(first.rows)
            if not first.is_cancelled:
                taken.append(first)
                capacity -= len(first.rows)
        return taken
