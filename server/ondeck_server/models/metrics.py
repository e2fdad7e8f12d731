"""Prometheus metrics of model versions: loads, leases, open sessions, tasks, reads; labels come from the repository."""

import asyncio
import time
from typing import Final, Literal
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Counter, Gauge

from ondeck_registry.onnx_session import OnnxSession
from ondeck_server.models.reconciler import Key, VersionState
from ondeck_server.models.servable import Servable

SAMPLE_INTERVAL_SECONDS: Final = 2.0  # sampled in the background, so that calls do not pay for it


class VersionMetrics:
    """Which versions are loaded, and how loads completed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("model", "version")
        self._loaded = Gauge(
            "ondeck_version_loaded",
            "1 if every worker has loaded the version, else 0.",
            labels,
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._loads = Counter(
            "ondeck_model_loads", "Completed loads of versions.", (*labels, "result"), registry=registry
        )

        self._timeouts = Counter(
            "ondeck_run_timeouts",
            "Runs of a graph that were ended after ONDECK_MAX_RUN_SECONDS, so that their calls failed.",
            labels,
            registry=registry,
        )

    def record_run_timeout(self, key: Key) -> None:
        """Count a run that was ended because of its time."""
        self._timeouts.labels(key[0], str(key[1])).inc()

    def record(self, key: Key, state: VersionState) -> None:
        """Record the new state of a version."""
        labels = (key[0], str(key[1]))
        self._loaded.labels(*labels).set(state is VersionState.LOADED)
        if state in {VersionState.LOADED, VersionState.REFUSED}:
            self._loads.labels(*labels, state.value).inc()


class ResourceMetrics:
    """Leases, sessions and asyncio tasks of a process, and the age of what it knows of the repository.

    A level that grows while the server is idle is a leak; the age, that the file system does not answer.

    Tracks every version that was loaded and has not been garbage-collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._servables: WeakSet[Servable] = WeakSet()
        self._sessions: WeakSet[OnnxSession] = WeakSet()
        self._leases = _gauge("ondeck_leases", "Leases held on loaded versions.", registry)
        self._open = _gauge("ondeck_onnx_sessions", "Open ONNX Runtime sessions.", registry)
        self._tasks = _gauge("ondeck_asyncio_tasks", "asyncio tasks of all event loops.", registry)
        self._read_age = _gauge(
            "ondeck_repository_read_age_seconds",
            "Seconds since the repository was last read as a whole, in the worker where it is longest.",
            registry,
            mode="livemax",
        )
        self._read_at = time.monotonic()

    def record_read(self) -> None:
        """Record that the repository has been read."""
        self._read_at = time.monotonic()

    def track(self, servable: Servable) -> None:
        """Track a version."""
        self._servables.add(servable)
        self._sessions.add(servable.loaded.session)

    @property
    def leases(self) -> int:
        """Count the leases on all versions."""
        return sum(servable.leases for servable in self._servables)

    @property
    def sessions(self) -> int:
        """Count the open sessions, including unloaded ones that are not garbage-collected yet."""
        return len(self._sessions)

    async def sample_periodically(self) -> None:
        """Set the gauges periodically, until cancelled."""
        while True:
            self._leases.set(self.leases)
            self._open.set(self.sessions)
            self._tasks.set(len(asyncio.all_tasks()))
            self._read_age.set(time.monotonic() - self._read_at)
            await asyncio.sleep(SAMPLE_INTERVAL_SECONDS)


def _gauge(name: str, text: str, registry: CollectorRegistry, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode=mode)
