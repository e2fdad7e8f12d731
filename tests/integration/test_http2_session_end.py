"""Events that arrive when the session of a connection has ended, or is about to, raise nothing."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hpack import Encoder

from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.services.health import HEALTH, HealthService
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.http2.server import Http2Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACKNOWLEDGED = 1, 4, 1
ROUNDS = 150
SECONDS = 20.0


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def call(stream: int, path: str = "/grpc.health.v1.Health/Watch", *more: tuple[str, str]) -> bytes:
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), ("content-type", "application/grpc")]
    headers = frame(HEADERS, END_HEADERS, stream, Encoder().encode((*fields, *more)))
    return headers + frame(DATA, END_STREAM, stream, bytes(5))


PINGS = b"".join(frame(PING, 0, 0, struct.pack(">Q", number)) for number in range(10))
PARTS = {
    "call": call(1),
    "refused call": call(3, "/a/B"),
    "pings": PINGS,
    "goaway": frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)),
    "goaway with an error": frame(GOAWAY, 0, 0, struct.pack(">II", 0, 2)),
    "reset": frame(RESET, 0, 1, struct.pack(">I", 8)),
    "settings": frame(SETTINGS, 0, 0, b""),
    "window": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 100)),
    "invalid window": frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "invalid settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0xFFFFFFFF)),
    "invalid acknowledgement": frame(SETTINGS, ACKNOWLEDGED, 0, b"?"),
    "invalid headers": frame(HEADERS, END_HEADERS, 5, b"\xff\xff\xff\xff\xff\xff"),
    "data of no stream": frame(DATA, END_STREAM, 9, b"?"),
    "later call": call(7),
    "too many header bytes": call(11, "/a/B", *[("x-long", "y" * 4000)] * 300),
}


@asynccontextmanager
async def serve_health(**settings: float) -> AsyncIterator[tuple[Http2Server, int]]:
    methods = methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(MetricsBlock()))
    server = Http2Server(methods, ServerSettings.model_validate(settings), CallMetrics(MetricsBlock()))
    yield server, await server.listen(0)
    await server.stop(0)


async def send(port: int, content: bytes, *, is_aborted: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + content)
    await writer.drain()
    if is_aborted:  # RST in place of FIN
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    else:
        await asyncio.sleep(0.01)
    writer.close()
    reader.feed_eof()


@pytest.mark.parametrize("is_stopping", [True, False], ids=["stopping", "serving"])
async def test_no_sequence_of_frames_raises(is_stopping: bool) -> None:  # noqa: FBT001  a parameter of the test
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    order = random.Random(7)  # noqa: S311  test data, no secret
    async with serve_health() as (server, port):
        for number in range(ROUNDS):
            names = order.choices(list(PARTS), k=order.randint(1, 6))
            await send(port, b"".join(PARTS[name] for name in names), is_aborted=number % 2 == 0)
            if is_stopping:
                for connection in list(server._connections):  # as at shutdown, while others go on
                    connection.lifecycle.begin_goaway()
            assert not raised, names
        await asyncio.sleep(0.1)
    await asyncio.sleep(0)
    assert not raised


async def test_timers_that_fire_while_a_session_ends_raise_nothing() -> None:
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    short = {"keepalive_seconds": 1, "keepalive_timeout_seconds": 0.1, "max_connection_age_seconds": 0.1}
    short |= {"max_connection_age_grace_seconds": 0.1, "max_connection_idle_seconds": 0.1}
    order = random.Random(7)  # noqa: S311  as above

    async def stay(port: int, names: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PREFACE + frame(SETTINGS, 0, 0, b""))
        with suppress(ConnectionError):
            for name in names:  # some of them after the server's GOAWAY
                writer.write(PARTS[name])
                await asyncio.sleep(order.uniform(0, 0.1))
            await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()

    async with serve_health(**short) as (_, port):
        frames = [order.choices(list(PARTS), k=order.randint(0, 6)) for _ in range(ROUNDS)]
        await asyncio.gather(*(stay(port, names) for names in frames))
    await asyncio.sleep(0.3)  # longer than the timers of a connection
    assert not raised
