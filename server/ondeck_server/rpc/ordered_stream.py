"""Requests of a stream: begun as they come, answered in their order, as many at a time as are ready."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

IN_FLIGHT: Final = 256  # requests of one stream; a caller who sends more waits

R = TypeVar("R")
A = TypeVar("A", covariant=True)  # noqa: PLC0105  as in mathematics


class PendingResult(Protocol[A]):
    """A request on its way."""

    async def answer(self) -> A:
        """Wait for its answer; whatever goes wrong is an answer, too."""

    def drop(self) -> None:
        """Give it up, before it is run if it can be; after its answer, this changes nothing."""


_Queue: TypeAlias = "asyncio.Queue[PendingResult[Any] | None]"  # None: the caller has sent everything


async def answered_in_order(
    requests: AsyncIterator[R], begin: Callable[[R], PendingResult[A]]
) -> AsyncGenerator[list[A], None]:
    """Give the answers that are ready together; what nobody will read is dropped when this is closed."""
    queue: _Queue = asyncio.Queue(IN_FLIGHT)
    reading = asyncio.create_task(_read(requests, begin, queue))
    taken: deque[PendingResult[Any] | None] = deque()
    try:
        while not taken:
            await _take(queue, taken)
            answers: list[A] = []
            while taken and (first := taken[0]) is not None:
                answers.append(await first.answer())
                taken.popleft()
            if answers:
                yield answers
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        while not queue.empty():
            taken.append(queue.get_nowait())
        _drop(taken)


async def _read(requests: AsyncIterator[R], begin: Callable[[R], PendingResult[Any]], queue: _Queue) -> None:
    broken: Exception | None = None
    try:
        async for request in requests:
            await _put(queue, begin(request))
    except Exception as error:  # noqa: BLE001  it is told once what came before it is answered
        broken = error
    await queue.put(None)  # not where this is cancelled: nobody would take it
    if broken is not None:
        raise broken


async def _put(queue: _Queue, begun: PendingResult[Any]) -> None:
    try:
        await queue.put(begun)
    except asyncio.CancelledError:
        begun.drop()
        raise


async def _take(queue: _Queue, taken: deque[PendingResult[Any] | None]) -> None:
    """Wait for one and take all that are there with it."""
    taken.append(await queue.get())
    while not queue.empty():
        taken.append(queue.get_nowait())


def _drop(begun: deque[PendingResult[Any] | None]) -> None:
    for each in begun:
        if each is not None:
            each.drop()
