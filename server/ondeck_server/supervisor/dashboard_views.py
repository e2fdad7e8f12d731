"""The views of the dashboard: what the supervisor knows of its workers, and what it samples of its metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from pydantic import JsonValue

from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.dashboard.pages import View, dashboard_routes
from ondeck_server.dashboard.sampler import Sampler
from ondeck_server.dashboard.server_state import LOADED, WorkerRow, version_rows
from ondeck_server.dashboard.trend_recorder import TrendRecorder
from ondeck_server.dashboard.trends import STEPS, merge, trend_columns
from ondeck_server.supervisor import policy
from ondeck_server.supervisor.dashboard_reads import DashboardReads
from ondeck_server.supervisor.pool import WorkerPool
from ondeck_server.supervisor.process import WorkerProcess

STORE_SECONDS: Final = 900.0  # between writes of the trends


class Dashboard:
    """Answers the requests of the page; `metrics` renders the Prometheus page."""

    def __init__(self, pool: WorkerPool, metrics: Callable[[], bytes], reads: DashboardReads, repository: Path) -> None:
        self._pool = pool
        self._reads = reads
        self._repository = repository
        self._trends = TrendRecorder()
        self._sampler = Sampler(metrics, self._trends.add)
        self._started_at = time.time()
        self._has_alerts = False

    def routes(self, *, has_alerts: bool) -> list[web.RouteDef]:
        """Return the routes of the page and of its endpoints; `has_alerts`: there is a page /alerts."""
        self._has_alerts = has_alerts
        views: dict[str, View] = {"server": self._server, "now": self._now, "data": self._data}
        return dashboard_routes({**views, "models": self._models, "history": self._history})

    @asynccontextmanager
    async def repeat(self, server: str, tasks: TaskMonitor) -> AsyncIterator[None]:
        """Sample the metrics, read views and store the trends of this server within the block."""
        trends = tasks.restarting(trends=partial(self._store_trends, server))
        async with self._reads.within(), self._sampler.repeat(tasks), trends:
            yield

    async def _store_trends(self, server: str) -> None:
        while True:
            await asyncio.sleep(STORE_SECONDS)
            points = list(self._trends.pending)
            if points and self._reads.has_database and await self._reads.store(server, points):
                self._trends.forget(points)

    async def _server(self, _: Mapping[str, str]) -> Mapping[str, Any]:
        return {"server": self._state()}

    def _state(self) -> Mapping[str, Any]:
        return {
            "at": time.time(),
            "started_at": self._started_at,
            "has_alerts": self._has_alerts,
            "unready": self._pool.unready(),
            "degraded": [*self._pool.degraded(), *policy.refusals(self._pool.statuses)],
        }

    async def _now(self, _: Mapping[str, str]) -> Mapping[str, Any]:
        self._sampler.watch()
        await asyncio.sleep(0)  # so that a sample may be taken
        now = asyncio.get_running_loop().time()
        traffic, last, statuses = self._sampler.traffic(), self._sampler.last, self._pool.statuses
        return {
            "server": self._state(),
            "traffic": asdict(traffic) if traffic else None,
            "versions": [asdict(row) for row in version_rows(statuses)],
            "rows": [{"model": model, "version": version, "rows": rows} for (model, version), rows in last.rows.items()]
            if last
            else [],
            "workers": [asdict(_worker_row(worker, now)) for worker in self._pool.workers],
            "workers_desired": last.workers_desired if last else None,
            "worker_exits": last.worker_exits if last else {},
        }

    async def _data(self, _: Mapping[str, str]) -> Mapping[str, Any]:
        return {"server": self._state(), **await self._reads.view("data", {}, needs_database=True)}

    async def _models(self, _: Mapping[str, str]) -> Mapping[str, Any]:
        loaded = [row for row in version_rows(self._pool.statuses) if row.state == LOADED]
        versions: list[JsonValue] = [[row.model, row.version] for row in loaded]
        parameters: dict[str, JsonValue] = {"repository": str(self._repository.absolute()), "versions": versions}
        aliases = {f"{row.model} {row.version}": row.aliases for row in loaded}
        read = await self._reads.view("models", parameters, needs_database=False)
        scores = await self._reads.view("scores", {}, needs_database=True)
        return {"server": self._state(), "aliases": aliases, "scores": scores, **read}

    async def _history(self, query: Mapping[str, str]) -> Mapping[str, Any]:
        days = next((days for days in STEPS if str(days) == query.get("days")), min(STEPS))
        read = await self._reads.view("history", {"days": days}, needs_database=True)
        recent = trend_columns(merge(self._trends.recent(), STEPS[days]), STEPS[days])
        return {"server": self._state(), "days": days, "recent": recent, **read}


def _worker_row(worker: WorkerProcess, now: float) -> WorkerRow:
    heartbeat_at = worker.heartbeat_at
    return WorkerRow(
        pid=worker.pid,
        phase=worker.phase.value,
        age_seconds=round(now - worker.started_at, 1),
        heartbeat_age_seconds=None if heartbeat_at is None else round(now - heartbeat_at, 1),
    )
