"""HTTP pages of a program for its operators: liveness, readiness, metrics and others.

A connection carries one request, and is bounded in bytes and time; so a caller that sends or reads slowly, or not at
all, holds one of few places for a short time, and gives it up to the next caller.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ondeck_runtime.health_checks import HealthCheck, are_passed, render_checks
from ondeck_runtime.metrics_page import CONTENT_TYPE

MAX_REQUEST_BYTES: Final = 16 << 10  # line and headers; the pages take no body
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
Page = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, kw_only=True)
class PageLimits:
    """The connections at one time, and the seconds from accepting a connection to its end."""

    connections: int
    seconds: float


class BoundedConnection(asyncio.Protocol):
    """A connection of the admin port: passes events on to aiohttp's protocol, within the limits.

    A connection beyond the limit aborts the oldest one.
    """

    def __init__(self, handler: asyncio.Protocol, limits: PageLimits, present: dict["BoundedConnection", None]) -> None:
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


def standard_routes(checks: Callable[[], Sequence[HealthCheck]], metrics: Callable[[], bytes]) -> list[web.RouteDef]:
    """Return the routes of /livez, which checks that the program answers, /readyz and /metrics."""
    alive = (HealthCheck(name="ping"),)
    return [
        web.get("/livez", _health_page("livez", lambda: alive)),
        web.get("/readyz", _health_page("readyz", checks)),
        web.get("/metrics", _metrics_page(metrics)),
    ]


@asynccontextmanager
async def serve_pages(host: str, port: int, routes: Sequence[web.RouteDef], limits: PageLimits) -> AsyncIterator[int]:
    """Serve the routes within the block; yields the port, which is a free one for 0.

    Raises:
        OSError: the port is in use, or the host is no address of this machine.
    """
    app = web.Application()
    app.add_routes(routes)
    app.on_response_prepare.append(_complete_headers)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    create, present = runner.server, dict[BoundedConnection, None]()
    assert create is not None  # noqa: S101  setup created it
    try:
        listener = await asyncio.get_running_loop().create_server(
            lambda: BoundedConnection(create(), limits, present), host, port, backlog=limits.connections
        )
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
            for connection in list(present):
                connection.abort()
    finally:
        await runner.cleanup()


async def _complete_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Let the connection close, and no other site read or embed a page in a browser, nor a cache keep it."""
    response.force_close()
    response.headers["Connection"] = "close"  # the headers are complete by now, without this one
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _health_page(endpoint: str, checks: Callable[[], Sequence[HealthCheck]]) -> Page:
    async def page(_: web.Request) -> web.Response:
        found = checks()
        return web.Response(text=render_checks(endpoint, found), status=200 if are_passed(found) else 503)

    return page


def _metrics_page(metrics: Callable[[], bytes]) -> Page:
    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE})

    return page
