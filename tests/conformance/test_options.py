"""What the settings say reaches the wire: each option by what a client sees of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import grpc
from h2.events import ConnectionTerminated, PingReceived, RemoteSettingsChanged
from h2.settings import SettingCodes

from ondeck_server import transport
from ondeck_server.settings import ServerSettings
from tests.conformance.calls import SECONDS
from tests.conformance.wire import framed, wired

Handlers: TypeAlias = "dict[str, grpc.RpcMethodHandler[bytes, bytes]]"
KIBIBYTE = 1 << 10


@asynccontextmanager
async def listening(settings: ServerSettings) -> AsyncIterator[str]:
    """Run a server that answers every call with what it was sent."""

    async def echo(request: bytes, _: object) -> bytes:
        return request

    server = grpc.aio.server(options=transport.options(settings))
    handlers: Handlers = {"Say": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = transport.bind(server, settings, 0)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_a_call_has_the_window_that_is_set_and_is_not_probed() -> None:
    def told(target: str) -> tuple[int, int]:
        with wired(target) as wire:
            begun = next(each for each in wire.events(SECONDS) if isinstance(each, RemoteSettingsChanged))
            stream = wire.open("/test.Echo/Say")
            wire.say(stream, framed(bytes(1000 * KIBIBYTE)), end=True)
            pings = [each for each in wire.events(1) if isinstance(each, PingReceived)]
            return begun.changed_settings[SettingCodes.INITIAL_WINDOW_SIZE].new_value, len(pings)

    async with listening(ServerSettings(window_kb=512)) as target:
        assert await asyncio.to_thread(told, target) == (512 * KIBIBYTE, 0)


async def test_a_connection_without_calls_is_closed_after_its_time_and_not_before() -> None:
    def told(target: str) -> tuple[int | None, int]:
        with wired(target) as wire:
            answered = wire.ask(framed(b"here"), "/test.Echo/Say").status
            return answered, len([each for each in wire.events(2) if isinstance(each, ConnectionTerminated)])

    async with listening(ServerSettings(connection_idle_seconds=0.5)) as target:
        assert await asyncio.to_thread(told, target) == (0, 1)
    async with listening(ServerSettings(connection_idle_seconds=0)) as target:
        assert await asyncio.to_thread(told, target) == (0, 0)
