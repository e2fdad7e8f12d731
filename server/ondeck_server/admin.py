"""The HTTP admin pages: liveness, readiness, Prometheus metrics and channelz."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ondeck_server.sockets import CannotListenError, address_of

_PORT_SETTING: Final = "ONDECK_ADMIN_PORT or --admin-port"
Page = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, kw_only=True)
class AdminPages:
    """The content of the pages: reasons why the server is not ready or degraded, metrics, and channelz data."""

    unready: Callable[[], list[str]]
    degraded: Callable[[], list[str]]
    metrics: Callable[[], bytes]
    channelz: Callable[[], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def admin_pages(host: str, port: int, pages: AdminPages) -> AsyncIterator[int]:
    """Serve /livez, /readyz, /metrics and /channelz within the block; yields the port.

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
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as failed:
            raise CannotListenError(address_of(host, port), _PORT_SETTING, failed.strerror) from failed
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


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
        return web.Response(body=pages.metrics(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return metrics


def _channelz(pages: AdminPages) -> Page:
    async def channelz(_: web.Request) -> web.Response:
        return web.json_response(await pages.channelz())

    return channelz
