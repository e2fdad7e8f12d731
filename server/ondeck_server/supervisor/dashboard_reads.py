"""Reads of the views that need the database or the repository: a process of its own answers, and its answer is kept.

A view that cannot be read keeps its last values, and says why; nothing here raises.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from pydantic import JsonValue

from ondeck_server.dashboard.trends import TrendPoint
from ondeck_server.ipc.messages import DashboardRequest, DashboardResult
from ondeck_server.settings import ServerSettings
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.process import ask_child
from ondeck_store.embedded.shared_server import has_database
from ondeck_store.settings import StoreSettings

MAX_SECONDS: Final = 60  # of one read
# after which the values of a view are read again
MAX_AGE_SECONDS: Final = {"data": 120.0, "history": 120.0, "models": 600.0, "scores": 600.0}
RETRY_SECONDS: Final = 20.0  # after a failed read
_WAIT_SECONDS: Final = 5.0  # of a request for its first values; later ones find them
_EXIT_SECONDS: Final = 5.0  # to leave the database after SIGTERM
_MODULE: Final = "ondeck_server.dashboard.reader"

log = structlog.get_logger()
ViewName = Literal["data", "history", "models", "scores", "trends"]


@dataclass(frozen=True, kw_only=True)
class KeptView:
    """The last values of a view, with the parameters and time of their read, and why a later read failed."""

    parameters: Mapping[str, JsonValue]
    values: Mapping[str, JsonValue] | None
    read_at: float | None
    tried_at: float
    failed: str = ""


class DashboardReads:
    """Reads views, one at a time, when they are requested."""

    def __init__(self, settings: ServerSettings, reserve: DescriptorReserve) -> None:
        self._settings = settings
        self._reserve = reserve
        self._kept: dict[str, KeptView] = {}
        self._reads: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def within(self) -> AsyncIterator[None]:
        """End the reads at the end of the block."""
        try:
            yield
        finally:
            reads = list(self._reads.values())
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    async def view(
        self, name: ViewName, parameters: Mapping[str, JsonValue], *, needs_database: bool
    ) -> Mapping[str, Any]:
        """Return `read` (state, time and reason) and `values`, None if there are none yet."""
        if needs_database and not self.has_database:
            return {"read": {"state": "absent", "at": None, "reason": "there is no database yet"}, "values": None}
        key = f"{name} {parameters.get('days', '')}"
        if key not in self._reads and self._is_due(name, self._kept.get(key), parameters):
            self._reads[key] = read = asyncio.create_task(self._read(name, key, parameters))
            read.add_done_callback(lambda _: self._reads.pop(key, None))
        if key not in self._kept and key in self._reads:
            await asyncio.wait([self._reads[key]], timeout=_WAIT_SECONDS)
        return _describe(self._kept.get(key))

    async def store(self, server: str, points: Sequence[TrendPoint]) -> bool:
        """Store trends; returns whether they are stored."""
        values: list[JsonValue] = [asdict(point) for point in points]
        result = await self._try("trends", {"server": server, "points": values})
        return not result.failed

    @property
    def has_database(self) -> bool:
        """Whether a database is configured, or exists in the home folder."""
        return self._settings.database_url is not None or has_database(Path(self._settings.home))

    @staticmethod
    def _is_due(name: ViewName, kept: KeptView | None, parameters: Mapping[str, JsonValue]) -> bool:
        if kept is None or kept.parameters != parameters:
            return True
        return abs(time.time() - kept.tried_at) > (RETRY_SECONDS if kept.failed else MAX_AGE_SECONDS[name])

    async def _read(self, name: ViewName, key: str, parameters: Mapping[str, JsonValue]) -> None:
        before, now = self._kept.get(key), time.time()
        result = await self._try(name, parameters)
        if result.failed:
            values, read_at = (before.values, before.read_at) if before else (None, None)
        else:
            values, read_at = result.values, now
        self._kept[key] = KeptView(
            parameters=parameters, values=values, read_at=read_at, tried_at=now, failed=result.failed
        )

    async def _try(self, name: ViewName, parameters: Mapping[str, JsonValue]) -> DashboardResult:
        """Return the result of a read; one that fails in any way is logged and has the reason."""
        try:
            async with self._turn:
                result = await self._run(name, parameters)
        except Exception as failed:  # noqa: BLE001  fork, exec and asyncio raise different errors
            result = DashboardResult(failed=str(failed) or type(failed).__name__)
        if result.failed:
            log.warning("dashboard_read_failed", view=name, reason=result.failed)
        return result

    async def _run(self, name: ViewName, parameters: Mapping[str, JsonValue]) -> DashboardResult:
        settings = self._settings.model_dump(mode="json", include=set(StoreSettings.model_fields))
        request = DashboardRequest(settings=settings, view=name, parameters=parameters, seconds=MAX_SECONDS)
        text = request.model_dump_json()
        output = await ask_child(_MODULE, text, self._reserve, seconds=MAX_SECONDS, exit_seconds=_EXIT_SECONDS)
        return DashboardResult.model_validate_json(output)


def _describe(kept: KeptView | None) -> Mapping[str, Any]:
    if kept is None:
        return {"read": {"state": "reading", "at": None, "reason": ""}, "values": None}
    state = "failed" if kept.failed else "read"
    return {"read": {"state": state, "at": kept.read_at, "reason": kept.failed}, "values": kept.values}
