"""Calls and connections are freed when they end, without the garbage collector."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.services.health import HEALTH, HealthService
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.http2.connection import Http2Connection
from ondeck_server.transports.http2.server import Http2Server
from ondeck_server.transports.http2.stream import ServerStream

MANY = 50
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@asynccontextmanager
async def serve_health() -> AsyncIterator[str]:
    server = Http2Server(
        methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(MetricsBlock())),
        ServerSettings(),
        CallMetrics(MetricsBlock()),
    )
    port = await server.listen(0)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def count_objects(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


async def connect_and_disconnect(target: str) -> None:
    """Watch, fail, cancel, and disconnect in mid-call."""
    async with grpc.aio.insecure_channel(target, OWN_CONNECTION) as channel:
        health = HealthStub(channel)
        watches = [health.Watch(HealthCheckRequest(service=str(n))) for n in range(MANY)]  # type: ignore[attr-defined]
        for watch in watches:
            assert await watch.read() is not grpc.aio.EOF
        for watch in watches[: MANY // 2]:
            watch.cancel()
        for _ in range(MANY):
            try:
                await health.Check(HealthCheckRequest(service="?"))  # type: ignore[attr-defined]
            except grpc.aio.AioRpcError as failed:
                assert failed.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017  any other code is a failure
            else:
                raise AssertionError


async def test_calls_and_connections_are_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        async with serve_health() as target:
            await connect_and_disconnect(target)
            for _ in range(100):
                if not count_objects(Http2Connection) and not count_objects(ServerStream):
                    break
                await asyncio.sleep(0.05)
            assert (count_objects(Http2Connection), count_objects(ServerStream)) == (0, 0)
    finally:
        gc.enable()
