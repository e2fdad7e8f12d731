"""The server's life: hold the port, start workers, say so; on SIGHUP replace them; on SIGTERM say no, drain, leave.

The order is the shape of the code. This process answers no calls: it stays small, and outlives whatever kills a worker.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from ondeck_runtime.signals import stop_event
from ondeck_runtime.tasks import wait_first
from ondeck_server.admin import AdminPages, admin_pages
from ondeck_server.ipc.messages import LogConfig, StartWorker
from ondeck_server.security.tls import check_certificates
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import address_of
from ondeck_server.supervisor.listener import reserve_port
from ondeck_server.supervisor.metrics import metrics_folder
from ondeck_server.supervisor.pidfile import pid_file
from ondeck_server.supervisor.pool import WorkerPool

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StartedServer:
    """Where a server listens, and what it serves."""

    address: str
    admin: str
    serving: tuple[str, ...]
    missing: tuple[str, ...]


async def serve(settings: ServerSettings, logging: LogConfig, started: Callable[[StartedServer], None]) -> None:
    """Serve until SIGTERM or SIGINT; `started` is told once, when every worker takes calls.

    Raises:
        InvalidCertificatesError: what should secure the connections cannot.
        CannotListenError: a port is in use, or the host is none of this machine.
        CannotServeError: no worker could be started; the text is what it said.
    """
    check_certificates(settings)
    stop = stop_event()
    async with AsyncExitStack() as stack:
        port = stack.enter_context(reserve_port(settings.host, settings.port))
        kept = stack.enter_context(metrics_folder())
        full = asyncio.Event()
        start = StartWorker(
            settings=settings.model_dump(mode="json"),
            port=port,
            metrics_folder=str(kept.folder),
            logging=logging,
            load_requests={},
        )
        pool = WorkerPool(start, settings, kept, full.set)
        pages = AdminPages(unready=pool.unready, metrics=kept.page, channelz=pool.channelz)
        admin_port = await stack.enter_async_context(admin_pages(settings.host, settings.admin_port, pages))
        stack.push_async_callback(pool.kill)
        stack.enter_context(pid_file(settings.home, port))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, pool.replace)
        working = asyncio.create_task(pool.run())
        await wait_first(stop, full, working)
        if full.is_set():
            started(_started(settings, port, admin_port, pool))
        await wait_first(stop, working)
        pool.stop()
        await working
        log.info("draining", shutdown_delay_seconds=settings.shutdown_delay_seconds, seconds=settings.drain_seconds)
        pool.drain()
        await asyncio.sleep(settings.shutdown_delay_seconds)
        await pool.end()


def _started(settings: ServerSettings, port: int, admin_port: int, pool: WorkerPool) -> StartedServer:
    return StartedServer(
        address=address_of(settings.host, port),
        admin=f"http://{address_of(settings.host, admin_port)}",
        serving=tuple(dict.fromkeys(version for report in pool.statuses for version in report.loaded)),
        missing=tuple(pool.unready()),
    )
