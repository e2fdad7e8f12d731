"""Large messages take turns: each needs several times its size while it is read, inflated, parsed and answered.

A message that must wait for its turn is not read: the client gets no flow control window.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ondeck_server.transports.http2.byte_accounts import ByteAccount

LARGE_BYTES: Final = 1 << 16  # smaller messages need no turn
_COPIES: Final = 4  # of a message: received, inflated, parsed, and as a matrix or response
_CHECK_SECONDS: Final = 5.0
_MIN_PROGRESS: Final = 1 << 16  # bytes that must arrive between two checks while others wait


class Turn:
    """The turn of one message; `begin` runs when it comes, `fail` if the message arrives too slowly."""

    def __init__(
        self,
        owner: ByteAccount,
        size: int,
        begin: Callable[[], None],
        fail: Callable[[], None],
        *,
        is_arriving: bool,
    ) -> None:
        self.owner = owner
        self.message_bytes = size
        self.cost = _COPIES * size
        self.begin = begin
        self.fail = fail
        self.has_started = False
        self.is_arriving = is_arriving
        self.received = 0  # bytes, while it arrives
        self.received_before = -_MIN_PROGRESS


class LargeMessages:
    """The turns of a worker: messages begin in their order, as far as `limit` bytes reach; one alone always may.

    A connection that has half of all bytes waits while others begin.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._active: set[Turn] = set()
        self._waiting: deque[Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, turn: Turn) -> None:
        """Begin the turn now, or later."""
        self._waiting.append(turn)
        self._begin_next()

    def leave(self, turn: Turn) -> None:
        """End a turn, or no longer wait for it."""
        if turn.has_started:
            self._active.discard(turn)
            self._begin_next()
        elif turn in self._waiting:
            self._waiting.remove(turn)
            self._begin_next()

    def _begin_next(self) -> None:
        skipped: list[Turn] = []
        while self._waiting and self._has_room(self._limit, self._waiting[0].cost, self._active):
            turn = self._waiting.popleft()
            if not self._has_room(
                self._limit // 2, turn.cost, [each for each in self._active if each.owner is turn.owner]
            ):
                skipped.append(turn)
                continue
            turn.has_started = True
            self._active.add(turn)
            turn.begin()
        self._waiting.extendleft(reversed(skipped))
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)

    @staticmethod
    def _has_room(limit: int, cost: int, active: "set[Turn] | list[Turn]") -> bool:
        return not active or sum(each.cost for each in active) + cost <= limit

    def _check(self) -> None:
        """Fail the calls whose messages keep others waiting and do not arrive."""
        self._timer = None
        for turn in list(self._active) if self._waiting else ():
            if not turn.is_arriving:
                continue
            has_stalled = turn.received - turn.received_before < _MIN_PROGRESS
            turn.received_before = turn.received
            if has_stalled:
                turn.fail()
        self._begin_next()
