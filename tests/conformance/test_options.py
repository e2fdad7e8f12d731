"""Each transport setting has its effect on the wire."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

from h2.events import ConnectionTerminated, PingReceived, RemoteSettingsChanged
from h2.settings import SettingCodes

from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.composition import create_transport
from ondeck_server.health.status import HealthRegistry
from ondeck_server.services.health import HEALTH, HealthService
from ondeck_server.settings import ServerSettings
from tests.conformance.http2_client import frame_message, open_http2
from tests.conformance.stock_client import SECONDS

KIBIBYTE = 1 << 10
NOT_FOUND = 5
Transport: TypeAlias = Literal["grpcio", "nghttp2"]
CHECK = "/grpc.health.v1.Health/Check"


@asynccontextmanager
async def serve_health(settings: ServerSettings) -> AsyncIterator[str]:
    """Run a server with only an empty health service."""
    server = create_transport([(HEALTH, HealthService(HealthRegistry()))], settings, MetricsBlock())
    port = await server.listen(0)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_a_stream_has_the_configured_window_without_probing(transport: Transport) -> None:
    def observe(target: str) -> tuple[int, int]:
        with open_http2(target) as http2:
            settings_frame = next(each for each in http2.events(SECONDS) if isinstance(each, RemoteSettingsChanged))
            for _ in range(20):
                http2.call(frame_message(bytes(50 * KIBIBYTE)), CHECK)
            pings = [each for each in http2.events(1) if isinstance(each, PingReceived)]
            return settings_frame.changed_settings[SettingCodes.INITIAL_WINDOW_SIZE].new_value, len(pings)

    async with serve_health(ServerSettings(transport=transport, stream_window_kib=512)) as target:
        assert await asyncio.to_thread(observe, target) == (512 * KIBIBYTE, 0)


async def test_an_idle_connection_is_closed_at_its_limit_and_not_before(transport: Transport) -> None:
    def observe(target: str) -> tuple[int | None, int]:
        with open_http2(target) as http2:
            status = http2.call(frame_message(b""), CHECK).status
            return status, len([each for each in http2.events(2) if isinstance(each, ConnectionTerminated)])

    async with serve_health(ServerSettings(transport=transport, max_connection_idle_seconds=0.5)) as target:
        assert await asyncio.to_thread(observe, target) == (NOT_FOUND, 1)
    async with serve_health(ServerSettings(transport=transport, max_connection_idle_seconds=0)) as target:
        assert await asyncio.to_thread(observe, target) == (NOT_FOUND, 0)


async def test_short_calls_keep_a_connection_from_being_idle(transport: Transport) -> None:
    def observe(target: str) -> int | None:
        with open_http2(target) as http2:
            for _ in range(40):
                assert http2.call(frame_message(b""), CHECK).status == NOT_FOUND
                time.sleep(0.05)
            return http2.goaway

    async with serve_health(ServerSettings(transport=transport, max_connection_idle_seconds=0.5)) as target:
        assert await asyncio.to_thread(observe, target) is None
