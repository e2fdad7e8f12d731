"""Requests of a stream: started as they arrive, answered in their order, in groups that are ready together."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

MAX_IN_FLIGHT: Final = 256  # started requests of one stream; beyond it no more requests are read

R = TypeVar("R")
A = TypeVar("A", covariant=True)  # noqa: PLC0105  short, as is usual for type variables


class PendingResult(Protocol[A]):
    """A request that has been started."""

    async def result(self) -> A:
        """Wait for the response; an error of the request is a response, too."""

    def cancel(self) -> None:
        """Cancel the request if it has no response yet, and release what it holds."""


_Queue: TypeAlias = "asyncio.Queue[PendingResult[Any] | None]"  # None: the caller has sent everything


async def process_in_order(
    requests: AsyncIterator[R], start: Callable[[R], PendingResult[A]]
) -> AsyncGenerator[list[A], None]:
    """Start requests as they arrive and yield the responses that are ready together; closing it cancels the rest."""
    queue: _Queue = asyncio.Queue(MAX_IN_FLIGHT)
    reader = asyncio.create_task(_read(requests, start, queue))
    pending: deque[PendingResult[Any] | None] = deque()
    try:
        while not pending:
            pending.append(await queue.get())
            _drain(queue, pending)
            responses: list[A] = []
            while pending and (first := pending[0]) is not None:
                responses.append(await first.result())
                pending.popleft()
            if responses:
                yield responses
        await reader
    finally:
        # A second cancellation may interrupt any await here: release first, and again what the reader still starts.
        _cancel_all(queue, pending)
        reader.add_done_callback(lambda _: _cancel_all(queue, pending))
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(requests: AsyncIterator[R], start: Callable[[R], PendingResult[Any]], queue: _Queue) -> None:
    error: Exception | None = None
    try:
        async for request in requests:
            started = start(request)
            try:
                await queue.put(started)
            except asyncio.CancelledError:
                started.cancel()
                raise
    except Exception as caught:  # noqa: BLE001  raised below, once the requests before it are answered
        error = caught
    await queue.put(None)  # not after a cancellation: the queue has no reader then
    if error is not None:
        raise error


def _drain(queue: _Queue, pending: deque[PendingResult[Any] | None]) -> None:
    while not queue.empty():
        pending.append(queue.get_nowait())


def _cancel_all(queue: _Queue, pending: deque[PendingResult[Any] | None]) -> None:
    _drain(queue, pending)
    while pending:
        each = pending.popleft()
        if each is not None:
            each.cancel()
