"""The requests of a stream, as they come: a caller may be ahead of its handler by a window and no more."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ondeck_server.transports.http2.codec import PREFIX

R = TypeVar("R")


class RequestQueue(Generic[R]):
    """Iterates over what is put in, until its end; `let` is told of bytes for which the caller has room again."""

    def __init__(self, read: Callable[[bytes], R], ahead: int, let: Callable[[int], None]) -> None:
        self._read = read
        self._ahead = ahead
        self._let = let
        self._come: deque[bytes] = deque()
        self._size = self._owed = 0
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None

    def put(self, messages: list[bytes], received: int) -> None:
        """Take what so many received bytes completed."""
        self._come.extend(messages)
        self._size += sum(map(_weight, messages))
        if self._size < self._ahead:
            self._let(received)
        else:
            self._owed += received
        self._wake()

    def end(self) -> None:
        """Say that no more will come."""
        self._ended = True
        self._wake()

    def drop(self) -> None:
        """Give up what nobody will read, and the room that it took."""
        self._come.clear()
        if self._owed:
            self._let(self._owed)
        self._size = self._owed = 0

    def __aiter__(self) -> "RequestQueue[R]":
        """Iterate; once."""
        return self

    async def __anext__(self) -> R:
        """Wait for the next one."""
        while not self._come:
            if self._ended:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        message = self._come.popleft()
        self._size -= _weight(message)
        if self._owed and self._size < self._ahead:
            self._let(self._owed)
            self._owed = 0
        return self._read(message)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _weight(message: bytes) -> int:
    """Tell what a message takes of the window; an empty one is not for nothing."""
    return PREFIX + len(message)
