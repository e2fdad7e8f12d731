"""The server's main process: reserve the port, start workers, replace them on SIGHUP, drain and stop on SIGTERM.

This process serves no calls: it stays small, and survives a crash of any worker.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from socket import gethostname

import structlog

from ondeck_runtime.http_pages import PageLimits
from ondeck_runtime.metrics import MetricsBlock
from ondeck_runtime.metrics_page import MetricsPage
from ondeck_runtime.process_metrics import ProcessMetrics
from ondeck_runtime.signals import stop_event
from ondeck_runtime.tasks import TaskMonitor, wait_first
from ondeck_server.admin import AdminPages, admin_pages
from ondeck_server.alerts.alert_monitor import create_alert_monitor
from ondeck_server.ipc.messages import LoadLimits, LogConfig, StartWorker
from ondeck_server.security.tls import check_certificates
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import address_of, raise_descriptor_limit, reserve_port
from ondeck_server.supervisor.dashboard_reads import DashboardReads
from ondeck_server.supervisor.dashboard_views import Dashboard
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.load_trials import LoadTrials
from ondeck_server.supervisor.log_level import LogLevelPage
from ondeck_server.supervisor.metrics import export_refusals
from ondeck_server.supervisor.pidfile import pid_file
from ondeck_server.supervisor.player_reads import PlayerReads
from ondeck_server.supervisor.policy import health_checks, refusals
from ondeck_server.supervisor.pool import WorkerPool
from ondeck_server.supervisor.process import watch_children_by_descriptor

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StartedServer:
    """A started server: its addresses, the versions that it serves, and the reasons why it is not ready."""

    address: str
    admin: str
    serving: tuple[str, ...]
    missing: tuple[str, ...]


async def serve(settings: ServerSettings, logging: LogConfig, on_start: Callable[[StartedServer], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_start` is called once, when every worker accepts calls.

    Raises:
        InvalidCertificatesError: the TLS files are missing or invalid.
        CannotListenError: a port is in use, or the host is no address of this machine.
        CannotServeError: no worker could be started.
        InvalidRulesError: the file of alert rules is invalid.
    """
    check_certificates(settings)
    stop = stop_event()
    raise_descriptor_limit()
    watch_children_by_descriptor()
    reserve = DescriptorReserve()
    async with AsyncExitStack() as stack:
        port = stack.enter_context(reserve_port(settings.host, settings.port))
        metrics = MetricsPage(MetricsBlock())
        tasks = TaskMonitor(metrics.own)
        start = StartWorker(
            settings=settings.model_dump(mode="json"),
            port=port,
            logging=logging,
            load_requests={},
        )
        load_limits = LoadLimits(cpu_seconds=settings.load_cpu_seconds, memory_mib=settings.load_memory_mib)
        trials = LoadTrials(load_limits, reserve, tasks, optimizes=settings.optimize_graphs)
        stack.push_async_callback(trials.close)
        pool = WorkerPool(start, settings, metrics, reserve, trials)
        reads = PlayerReads(settings, reserve, pool.announce, metrics.own)
        export_refusals(metrics, lambda: refusals(pool.statuses))
        dashboard = Dashboard(pool, metrics.text, DashboardReads(settings, reserve), settings.model_repository)
        alerts = create_alert_monitor(settings, metrics.text)
        pages = AdminPages(
            checks=lambda: health_checks(
                is_draining=pool.is_draining,
                unready=pool.unready(),
                degraded=pool.degraded(),
                refused=refusals(pool.statuses),
            ),
            metrics=metrics.text,
            channelz=pool.channelz,
            routes=[
                *LogLevelPage(logging.level, pool.announce).routes(),
                *dashboard.routes(has_alerts=alerts is not None),
                *(alerts.routes() if alerts else ()),
            ],
        )
        limits = PageLimits(connections=settings.admin_max_connections, seconds=settings.admin_timeout_seconds)
        admin_port = await stack.enter_async_context(admin_pages(settings.host, settings.admin_port, pages, limits))
        stack.push_async_callback(pool.kill)
        stack.enter_context(pid_file(settings.home, port))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, pool.replace)
        await stack.enter_async_context(reads.repeat(tasks))
        await stack.enter_async_context(dashboard.repeat(f"{gethostname()}:{port}", tasks))
        samples = ProcessMetrics(metrics.own, "supervisor").sample_periodically
        await stack.enter_async_context(tasks.restarting(process_samples=samples))
        if alerts is not None:
            run_alerts = partial(alerts.run, settings.alert_interval_seconds, pool.complete)
            await stack.enter_async_context(tasks.restarting(alerts=run_alerts))
        running = asyncio.create_task(pool.run())
        await wait_first(stop, pool.complete, running)
        trials.yield_to_calls()
        if pool.complete.is_set():
            try:
                on_start(_started(settings, port, admin_port, pool))
            except OSError as failed:  # of standard output
                log.warning("ready_line_failed", reason=failed.strerror)
        await wait_first(stop, running)
        pool.stop()
        await running
        await _shut_down(settings, pool)


async def _shut_down(settings: ServerSettings, pool: WorkerPool) -> None:
    log.info(
        "drain_started",
        detail="health is NOT_SERVING, calls are still accepted",
        shutdown_delay_seconds=settings.shutdown_delay_seconds,
        drain_seconds=settings.drain_seconds,
    )
    pool.drain()
    await asyncio.sleep(settings.shutdown_delay_seconds)
    await pool.end()


def _started(settings: ServerSettings, port: int, admin_port: int, pool: WorkerPool) -> StartedServer:
    return StartedServer(
        address=address_of(settings.host, port),
        admin=f"http://{address_of(settings.host, admin_port)}",
        serving=tuple(dict.fromkeys(version for status in pool.statuses for version in status.loaded)),
        missing=tuple(pool.unready()),
    )
