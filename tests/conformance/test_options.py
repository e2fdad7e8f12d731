"""What the settings say reaches the wire: each option by what a client sees of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

from h2.events import ConnectionTerminated, PingReceived, RemoteSettingsChanged
from h2.settings import SettingCodes
from prometheus_client import CollectorRegistry

from ondeck_server.health.status import HealthRegistry
from ondeck_server.services.health import HealthService
from ondeck_server.services.health_messages import HEALTH
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.factory import carrier_of
from tests.conformance.http2_client import framed, wired
from tests.conformance.stock_client import SECONDS

KIBIBYTE = 1 << 10
NOT_FOUND = 5
Transport: TypeAlias = Literal["grpcio", "nghttp2"]
CHECK = "/grpc.health.v1.Health/Check"


@asynccontextmanager
async def listening(settings: ServerSettings) -> AsyncIterator[str]:
    """Run a server that tells of no health but that there is none."""
    carrier = carrier_of([(HEALTH, HealthService(HealthRegistry()))], settings, CollectorRegistry())
    port = await carrier.listen(0)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await carrier.stop(0)


async def test_a_stream_has_the_configured_window_without_probing(transport: Transport) -> None:
    def told(target: str) -> tuple[int, int]:
        with wired(target) as wire:
            begun = next(each for each in wire.events(SECONDS) if isinstance(each, RemoteSettingsChanged))
            stream = wire.open(CHECK)
            wire.say(stream, framed(bytes(1000 * KIBIBYTE)), end=True)
            pings = [each for each in wire.events(1) if isinstance(each, PingReceived)]
            return begun.changed_settings[SettingCodes.INITIAL_WINDOW_SIZE].new_value, len(pings)

    async with listening(ServerSettings(transport=transport, stream_window_kib=512)) as target:
        assert await asyncio.to_thread(told, target) == (512 * KIBIBYTE, 0)


async def test_an_idle_connection_is_closed_at_its_limit_and_not_before(transport: Transport) -> None:
    def told(target: str) -> tuple[int | None, int]:
        with wired(target) as wire:
            answered = wire.ask(framed(b""), CHECK).status
            return answered, len([each for each in wire.events(2) if isinstance(each, ConnectionTerminated)])

    async with listening(ServerSettings(transport=transport, max_connection_idle_seconds=0.5)) as target:
        assert await asyncio.to_thread(told, target) == (NOT_FOUND, 1)
    async with listening(ServerSettings(transport=transport, max_connection_idle_seconds=0)) as target:
        assert await asyncio.to_thread(told, target) == (NOT_FOUND, 0)


async def test_short_calls_keep_a_connection_from_being_idle(transport: Transport) -> None:
    def told(target: str) -> int | None:
        with wired(target) as wire:
            for _ in range(40):
                assert wire.ask(framed(b""), CHECK).status == NOT_FOUND
                time.sleep(0.05)
            return wire.goaway

    async with listening(ServerSettings(transport=transport, max_connection_idle_seconds=0.5)) as target:
        assert await asyncio.to_thread(told, target) is None
