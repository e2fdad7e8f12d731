"""Ask a server for its health, in the words of grpc.health.v1, as a probe would."""

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

POLL_SECONDS: Final = 0.5
CALL_SECONDS: Final = 5.0


async def until_serving(target: str) -> None:
    """Wait until the whole server at `target` says SERVING."""
    async with grpc.aio.insecure_channel(target) as channel:
        while not await _serves(channel):  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(POLL_SECONDS)


async def _serves(channel: grpc.aio.Channel) -> bool:
    stub: Any = HealthStub(channel)  # its types leave out the methods
    try:
        told = await stub.Check(HealthCheckRequest(service=""), timeout=CALL_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(told.status == HealthCheckResponse.SERVING)
