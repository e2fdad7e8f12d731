"""The requests of a stream: the caller may be ahead of the handler by its flow control window and no more."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ondeck_server.transports.http2.wire_format import PREFIX_BYTES

R = TypeVar("R")


class RequestQueue(Generic[R]):
    """Iterates over decoded requests; calls `grant_window` with the bytes that the caller may send again."""

    def __init__(self, decode: Callable[[bytes], R], window: int, grant_window: Callable[[int], None]) -> None:
        self._decode = decode
        self._window = window
        self._grant_window = grant_window
        self._messages: deque[bytes] = deque()
        self._size = self._withheld = 0
        self._is_ended = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, messages: list[bytes], received: int) -> None:
        """Append the messages that `received` bytes completed."""
        self._messages.extend(messages)
        self._size += sum(map(_window_size, messages))
        if self._size < self._window:
            self._grant_window(received)
        else:
            self._withheld += received
        self._wake()

    def end(self) -> None:
        """Record that no more requests arrive."""
        self._is_ended = True
        self._wake()

    def drop(self) -> None:
        """Discard unread requests and return their window."""
        self._messages.clear()
        if self._withheld:
            self._grant_window(self._withheld)
        self._size = self._withheld = 0

    def __aiter__(self) -> "RequestQueue[R]":
        """Return itself; it can be iterated once."""
        return self

    async def __anext__(self) -> R:
        """Wait for the next request."""
        while not self._messages:
            if self._is_ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._messages.popleft()
        self._size -= _window_size(message)
        if self._withheld and self._size < self._window:
            self._grant_window(self._withheld)
            self._withheld = 0
        return self._decode(message)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _window_size(message: bytes) -> int:
    """Return the window that a message uses, with its prefix: an empty message uses some, too."""
    return PREFIX_BYTES + len(message)
