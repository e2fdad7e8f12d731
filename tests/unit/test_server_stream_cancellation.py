"""A stream that ends early, for any reason, releases its started requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from ondeck_server.rpc.ordered_stream import MAX_BYTES_IN_FLIGHT, process_in_order

REQUESTS = 5


SMALL = HealthCheckRequest(service="a")
LARGE = HealthCheckRequest(service="a" * MAX_BYTES_IN_FLIGHT)


class Call:
    """A call that counts the bytes that are charged to it."""

    method = correlation_id = peer = identity = ""
    metadata: Mapping[str, str] = {}
    held = most_held = 0

    def time_left(self) -> float | None:
        return None

    def cancelled(self) -> bool:
        return False

    def hold(self, size: int) -> None:
        self.held += size
        self.most_held = max(self.held, self.most_held)

    def release(self, size: int) -> None:
        self.held -= size


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


async def read_stubbornly() -> AsyncIterator[HealthCheckRequest]:
    """Yield requests; one more after each cancellation, as a transport with a request in its buffer may."""
    for _ in range(REQUESTS):
        yield SMALL
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        yield SMALL


async def read() -> AsyncIterator[HealthCheckRequest]:
    for _ in range(REQUESTS):
        yield SMALL
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("requests", [read, read_stubbornly])
@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_cancelled_stream_releases_every_request(
    requests: Callable[[], AsyncIterator[HealthCheckRequest]], cancellations: int
) -> None:
    async def consume() -> None:
        async with aclosing(process_in_order(requests(), lambda _: Held(), Call())) as ready:
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


class Later:
    """A request whose response comes in a later turn of the event loop."""

    async def result(self) -> int:
        await asyncio.sleep(0)
        return 1

    def cancel(self) -> None: ...


@pytest.mark.parametrize(("request_", "most"), [(SMALL, REQUESTS), (LARGE, 1)])
async def test_large_requests_of_a_stream_are_processed_one_by_one(request_: HealthCheckRequest, most: int) -> None:
    async def requests() -> AsyncIterator[HealthCheckRequest]:
        for _ in range(REQUESTS):
            yield request_

    call = Call()
    responses = [each async for group in process_in_order(requests(), lambda _: Later(), call) for each in group]
    assert (sum(responses), call.held, call.most_held) == (REQUESTS, 0, most * request_.ByteSize())
