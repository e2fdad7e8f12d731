"""The admin pages, over HTTP: is the process alive, is it ready, what does it measure."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

Unready = Callable[[], list[str]]
Page = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def admin_pages(host: str, port: int, unready: Unready, registry: CollectorRegistry) -> AsyncIterator[int]:
    """Serve /livez, /readyz and /metrics for as long as the block; `unready` lists what keeps the server from it."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", _livez),
            web.get("/readyz", _readyz(unready)),
            web.get("/metrics", _metrics(registry)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _livez(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")


def _readyz(unready: Unready) -> Page:
    async def readyz(_: web.Request) -> web.Response:
        reasons = unready()
        return web.Response(
            text="".join(f"{reason}\n" for reason in reasons) or "ready\n", status=503 if reasons else 200
        )

    return readyz


def _metrics(registry: CollectorRegistry) -> Page:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return metrics
