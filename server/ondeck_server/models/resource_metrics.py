"""What a process holds for its callers: it comes back to what it was once nobody asks any more, or something leaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Gauge

from ondeck_registry.onnx_session import OnnxSession
from ondeck_server.models.servable import Servable

MEASURED_EVERY: Final = 2.0  # seconds; callers pay nothing for it


class ResourceMetrics:
    """Every version that was opened and is not gone yet, whoever holds it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._served: WeakSet[Servable] = WeakSet()
        self._sessions: WeakSet[OnnxSession] = WeakSet()
        self._leases = _gauge("ondeck_leases", "Leases held on loaded versions.", registry)
        self._open = _gauge("ondeck_onnx_sessions", "Open ONNX Runtime sessions.", registry)
        self._tasks = _gauge("ondeck_asyncio_tasks", "asyncio tasks of all event loops.", registry)

    def opened(self, served: Servable) -> None:
        """Take note of a version."""
        self._served.add(served)
        self._sessions.add(served.loaded.session)

    @property
    def leases(self) -> int:
        """Count the leases on all versions."""
        return sum(served.leases for served in self._served)

    @property
    def sessions(self) -> int:
        """Count the graphs that are open, those included that only somebody's memory keeps."""
        return len(self._sessions)

    @asynccontextmanager
    async def kept_measured(self) -> AsyncIterator[None]:
        """Measure from time to time, for as long as the block."""
        measuring = asyncio.create_task(self._now_and_then())
        try:
            yield
        finally:
            measuring.cancel()
            with suppress(asyncio.CancelledError):
                await measuring

    async def _now_and_then(self) -> None:
        while True:
            self._leases.set(self.leases)
            self._open.set(self.sessions)
            self._tasks.set(len(asyncio.all_tasks()))
            await asyncio.sleep(MEASURED_EVERY)


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")
