"""The requests of a stream, which its handler takes one by one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ondeck_server.transports.http2.wire_format import CompressedMessage, Received, received_size

R = TypeVar("R")


class RequestQueue(Generic[R]):
    """Iterates over decoded requests; `size` is the bytes of those that wait.

    Calls `on_next` when the handler asks for a request, and `on_read` with the bytes of the one that it gets.
    """

    def __init__(
        self,
        decode: Callable[[bytes], R],
        inflate: Callable[[CompressedMessage], Awaitable[bytes]],
        on_next: Callable[[], None],
        on_read: Callable[[int], None],
    ) -> None:
        self.size = 0
        self._decode = decode
        self._inflate = inflate
        self._on_next = on_next
        self._on_read = on_read
        self._messages: deque[Received] = deque()
        self._is_ended = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, messages: list[Received]) -> None:
        """Append messages."""
        self._messages.extend(messages)
        self.size += sum(map(received_size, messages))
        self._wake()

    def end(self) -> None:
        """Record that no more requests arrive."""
        self._is_ended = True
        self._wake()

    def drop(self) -> None:
        """Discard unread requests."""
        self._messages.clear()
        self.size = 0

    def __aiter__(self) -> "RequestQueue[R]":
        """Return itself; it can be iterated once."""
        return self

    async def __anext__(self) -> R:
        """Wait for the next request."""
        self._on_next()
        while not self._messages:
            if self._is_ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._messages.popleft()
        size = received_size(message)
        self.size -= size
        self._on_read(size)
        return self._decode(message if isinstance(message, bytes) else await self._inflate(message))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
