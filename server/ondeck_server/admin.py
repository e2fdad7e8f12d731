"""The admin port of the server: liveness, readiness, Prometheus metrics, channelz and the dashboard."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from ondeck_runtime.health_checks import HealthCheck
from ondeck_runtime.http_pages import Page, PageLimits, serve_pages, standard_routes
from ondeck_server.sockets import CannotListenError, address_of

_PORT_SETTING: Final = "ONDECK_ADMIN_PORT or --admin-port"


@dataclass(frozen=True, kw_only=True)
class AdminPages:
    """The content of the pages: health checks, metrics, channelz data, and the routes of the dashboard."""

    checks: Callable[[], Sequence[HealthCheck]]
    metrics: Callable[[], bytes]
    channelz: Callable[[], Awaitable[dict[str, Any]]]
    routes: Sequence[web.RouteDef] = ()


@asynccontextmanager
async def admin_pages(host: str, port: int, pages: AdminPages, limits: PageLimits) -> AsyncIterator[int]:
    """Serve the pages within the block; yields the port.

    Raises:
        CannotListenError: the port is in use, or the host is no address of this machine.
    """
    own = [web.get("/channelz", _channelz(pages)), *pages.routes]
    async with AsyncExitStack() as stack:
        try:
            served = serve_pages(host, port, [*standard_routes(pages.checks, pages.metrics), *own], limits)
            used = await stack.enter_async_context(served)
        except OSError as failed:
            raise CannotListenError(address_of(host, port), _PORT_SETTING, failed.strerror) from failed
        yield used


def _channelz(pages: AdminPages) -> Page:
    async def channelz(_: web.Request) -> web.Response:
        return web.json_response(await pages.channelz())

    return channelz
