"""A stream that ends early, for any reason, releases its started requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from ondeck_server.rpc.ordered_stream import process_in_order

REQUESTS = 5


class Held:
    """A request without a response; `held` counts those that are not released."""

    held = 0

    def __init__(self) -> None:
        Held.held += 1
        self._is_released = False

    async def result(self) -> int:
        try:
            response: int = await asyncio.get_running_loop().create_future()
            return response
        finally:
            self.cancel()

    def cancel(self) -> None:
        Held.held -= not self._is_released
        self._is_released = True


async def read_stubbornly() -> AsyncIterator[int]:
    """Yield requests; one more after each cancellation, as a transport with a request in its buffer may."""
    for number in range(REQUESTS):
        yield number
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        yield REQUESTS


async def read() -> AsyncIterator[int]:
    for number in range(REQUESTS):
        yield number
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("requests", [read, read_stubbornly])
@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_cancelled_stream_releases_every_request(
    requests: Callable[[], AsyncIterator[int]], cancellations: int
) -> None:
    async def consume() -> None:
        async with aclosing(process_in_order(requests(), lambda _: Held())) as ready:
            async for _ in ready:
                raise AssertionError

    Held.held = 0
    task = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    assert Held.held == REQUESTS
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task], timeout=5)
    await asyncio.sleep(0.05)
    assert Held.held == 0
