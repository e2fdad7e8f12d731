"""The HTTP admin pages: liveness, readiness, Prometheus metrics and channelz.

A connection carries one request, and is bounded in bytes and time; so a caller that sends or reads slowly, or not at
all, holds one of few places for a short time, and gives it up to the next caller.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from ondeck_runtime.metrics_page import CONTENT_TYPE
from ondeck_server.sockets import CannotListenError, address_of

MAX_REQUEST_BYTES: Final = 16 << 10  # line and headers; the pages take no body
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PORT_SETTING: Final = "ONDECK_ADMIN_PORT or --admin-port"
Page = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, kw_only=True)
class AdminPages:
    """The content of the pages: why the server is not ready, what of it does not serve, metrics, and channelz data.

    `routes` are those of the dashboard.
    """

    unready: Callable[[], list[str]]
    degraded: Callable[[], list[str]]
    metrics: Callable[[], bytes]
    channelz: Callable[[], Awaitable[dict[str, Any]]]
    routes: Sequence[web.RouteDef] = ()


@dataclass(frozen=True, kw_only=True)
class AdminLimits:
    """The connections at one time, and the seconds from accepting a connection to its end."""

    connections: int
    seconds: float


class BoundedConnection(asyncio.Protocol):
    """A connection of the admin port: passes events on to aiohttp's protocol, within the limits.

    A connection beyond the limit aborts the oldest one.
    """

    def __init__(
        self, handler: asyncio.Protocol, limits: AdminLimits, present: dict["BoundedConnection", None]
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._present = present  # the oldest first
        self._received = 0
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the time limit; make room if there are too many connections."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  that of a TCP server
        self._transport = transport
        self._timeout = asyncio.get_running_loop().call_later(self._limits.seconds, transport.abort)
        if len(self._present) >= self._limits.connections:
            next(iter(self._present)).abort()
        self._present[self] = None
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass a request on, unless it is too large."""
        self._received += len(data)
        if self._received <= MAX_REQUEST_BYTES:
            self._handler.data_received(data)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(_TOO_LARGE)
            self._transport.close()

    def eof_received(self) -> bool | None:
        """Pass the event on."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass the event on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass the event on."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time limit."""
        self._present.pop(self, None)
        if self._timeout is not None:
            self._timeout.cancel()
        self._handler.connection_lost(exc)

    def abort(self) -> None:
        """Close the connection at once."""
        self._present.pop(self, None)
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def admin_pages(host: str, port: int, pages: AdminPages, limits: AdminLimits) -> AsyncIterator[int]:
    """Serve /livez, /readyz, /metrics, /channelz and the dashboard within the block; yields the port.

    Raises:
        CannotListenError: the port is in use, or the host is no address of this machine.
    """
    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", _livez),
            web.get("/readyz", _readyz(pages)),
            web.get("/metrics", _metrics(pages)),
            web.get("/channelz", _channelz(pages)),
            *pages.routes,
        ]
    )
    app.on_response_prepare.append(_close_after)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    create, present = runner.server, dict[BoundedConnection, None]()
    assert create is not None  # noqa: S101  setup created it
    loop = asyncio.get_running_loop()
    try:
        try:
            listener = await loop.create_server(
                lambda: BoundedConnection(create(), limits, present), host, port, backlog=limits.connections
            )
        except OSError as failed:
            raise CannotListenError(address_of(host, port), _PORT_SETTING, failed.strerror) from failed
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
            for connection in list(present):
                connection.abort()
    finally:
        await runner.cleanup()


async def _close_after(_: web.Request, response: web.StreamResponse) -> None:
    response.force_close()
    response.headers["Connection"] = "close"  # the headers are complete by now, without this one


async def _livez(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")


def _readyz(pages: AdminPages) -> Page:
    async def readyz(_: web.Request) -> web.Response:
        reasons = pages.unready()
        lines = [*(reasons or ["ready"]), *pages.degraded()]
        return web.Response(text="".join(f"{line}\n" for line in lines), status=503 if reasons else 200)

    return readyz


def _metrics(pages: AdminPages) -> Page:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=pages.metrics(), headers={"Content-Type": CONTENT_TYPE})

    return metrics


def _channelz(pages: AdminPages) -> Page:
    async def channelz(_: web.Request) -> web.Response:
        return web.json_response(await pages.channelz())

    return channelz
