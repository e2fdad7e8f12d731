"""Requests of a stream: started as they arrive, answered in their order, in groups that are ready together."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message

from ondeck_server.rpc.context import CallContext

MAX_IN_FLIGHT: Final = 256  # started requests of one stream; beyond it no more requests are read
MAX_BYTES_IN_FLIGHT: Final = 1 << 18  # of their requests, as above

M = TypeVar("M", bound=Message)
A = TypeVar("A", covariant=True)  # noqa: PLC0105  short, as is usual for type variables


class PendingResult(Protocol[A]):
    """A request that has been started."""

    async def result(self) -> A:
        """Wait for the response; an error of the request is a response, too."""

    def cancel(self) -> None:
        """Cancel the request if it has no response yet, and release what it holds."""


_Started: TypeAlias = tuple[PendingResult[Any], int]  # with the bytes of the request
_Queue: TypeAlias = "asyncio.Queue[_Started | None]"  # None: the caller has sent everything


class RequestsInFlight:
    """The bytes of started requests that have no response yet, charged to their call."""

    def __init__(self, call: CallContext) -> None:
        self._call = call
        self._size = 0
        self._has_room = asyncio.Event()

    def add(self, size: int) -> None:
        """Charge a request.

        Raises:
            BufferFullError: the connection or the worker holds too many bytes.
        """
        self._call.hold(size)
        self._size += size

    async def wait_room(self) -> None:
        """Wait until one more request may be read."""
        while self._size > MAX_BYTES_IN_FLIGHT:
            self._has_room.clear()
            await self._has_room.wait()

    def remove(self, size: int) -> None:
        """Return the bytes of a request that has a response."""
        self._size -= size
        self._call.release(size)
        self._has_room.set()


async def process_in_order(
    requests: AsyncIterator[M], start: Callable[[M], PendingResult[A]], call: CallContext
) -> AsyncGenerator[list[A], None]:
    """Start requests as they arrive and yield the responses that are ready together; closing it cancels the rest."""
    queue: _Queue = asyncio.Queue(MAX_IN_FLIGHT)
    in_flight = RequestsInFlight(call)
    reader = asyncio.create_task(_read(requests, start, in_flight, queue))
    pending: deque[_Started | None] = deque()
    try:
        while not pending:
            pending.append(await queue.get())
            _drain(queue, pending)
            responses: list[A] = []
            while pending and (first := pending[0]) is not None:
                responses.append(await first[0].result())
                pending.popleft()
                in_flight.remove(first[1])
                del first
            if responses:
                yield responses
        await reader
    finally:
        # A second cancellation may interrupt any await here: release first, and again what the reader still starts.
        _cancel_all(queue, pending)
        reader.add_done_callback(lambda _: _cancel_all(queue, pending))
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(
    requests: AsyncIterator[M], start: Callable[[M], PendingResult[Any]], in_flight: RequestsInFlight, queue: _Queue
) -> None:
    error: Exception | None = None
    try:
        async for request in requests:
            size = request.ByteSize()
            in_flight.add(size)
            started = start(request)
            del request  # it may be large, and the next one may be long in coming
            try:
                await queue.put((started, size))
            except asyncio.CancelledError:
                started.cancel()
                raise
            del started
            await in_flight.wait_room()
    except Exception as caught:  # noqa: BLE001  raised below, once the requests before it are answered
        error = caught
    await queue.put(None)  # not after a cancellation: the queue has no reader then
    if error is not None:
        raise error


def _drain(queue: _Queue, pending: deque[_Started | None]) -> None:
    while not queue.empty():
        pending.append(queue.get_nowait())


def _cancel_all(queue: _Queue, pending: deque[_Started | None]) -> None:
    _drain(queue, pending)
    while pending:
        each = pending.popleft()
        if each is not None:
            each[0].cancel()
