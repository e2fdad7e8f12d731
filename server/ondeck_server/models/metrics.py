"""Prometheus metrics of model versions: loads, leases, open sessions, tasks, reads; labels come from the repository."""

import asyncio
import time
from typing import Final
from weakref import WeakSet

from ondeck_registry.onnx_session import OnnxSession
from ondeck_runtime.metrics import CounterFamily, GaugeFamily, MetricsBlock
from ondeck_server.batching.batch_metrics import BATCH_ROWS, FEATURE_SECONDS, QUEUE_SECONDS, RUN_SECONDS, BatchMetrics
from ondeck_server.models.reconciler import Key, VersionState
from ondeck_server.models.servable import Servable

SAMPLE_INTERVAL_SECONDS: Final = 2.0  # sampled in the background, so that calls do not pay for it

_LABELS: Final = ("model", "version")
LOADED: Final = GaugeFamily("ondeck_version_loaded", "1 if every worker has loaded the version, else 0", _LABELS, "min")
STATES: Final = GaugeFamily("ondeck_version_workers", "workers in which a version has this state", (*_LABELS, "state"))
LOADS: Final = CounterFamily(
    "ondeck_model_loads", "loads of versions, by each worker; `result` is `loaded` or `refused`", (*_LABELS, "result")
)
RUN_TIMEOUTS: Final = CounterFamily(
    "ondeck_run_timeouts", "runs that ended after `ONDECK_MAX_RUN_SECONDS`, so that their calls failed", _LABELS
)
PREDICTED_ROWS: Final = CounterFamily("ondeck_predicted_rows", "instances predicted through `ondeck.v1`", _LABELS)
ALIAS_CHANGES: Final = CounterFamily(
    "ondeck_alias_changes", "aliases that a worker moved to another version or removed", ("model", "alias")
)
LEASES: Final = GaugeFamily("ondeck_leases", "leases on loaded versions, of all workers")
SESSIONS: Final = GaugeFamily("ondeck_onnx_sessions", "open ONNX Runtime sessions, of all workers")
TASKS: Final = GaugeFamily("ondeck_asyncio_tasks", "asyncio tasks, of all workers")
READ_AGE: Final = GaugeFamily(
    "ondeck_repository_read_age_seconds",
    "seconds since the model repository was last read, in the worker where it is longest",
    combine="max",
)
POLL: Final = GaugeFamily(
    "ondeck_repository_poll_seconds", "seconds between two polls of the model repository", combine="max"
)
_OF_VERSION: Final = (
    *(LOADED, STATES, LOADS, RUN_TIMEOUTS, PREDICTED_ROWS),
    *(QUEUE_SECONDS, RUN_SECONDS, FEATURE_SECONDS, BATCH_ROWS),
)


class VersionMetrics:
    """Which versions are loaded, how loads completed, and the metrics of their batches."""

    def __init__(self, block: MetricsBlock) -> None:
        self._block = block
        block.declare(*_OF_VERSION, ALIAS_CHANGES)

    def batch(self, key: Key) -> BatchMetrics:
        """Return what the batchers of a version write."""
        block, labels = self._block, (key[0], str(key[1]))
        return BatchMetrics(
            queue=block.histogram(QUEUE_SECONDS, *labels),
            run=block.histogram(RUN_SECONDS, *labels),
            features=block.histogram(FEATURE_SECONDS, *labels),
            rows=block.histogram(BATCH_ROWS, *labels),
            predicted_rows=block.counter(PREDICTED_ROWS, *labels),
        )

    def record_run_timeout(self, key: Key) -> None:
        """Count a run that was ended because of its time."""
        self._block.counter(RUN_TIMEOUTS, key[0], str(key[1])).inc()

    def record(self, key: Key, state: VersionState) -> None:
        """Record the new state of a version."""
        labels = (key[0], str(key[1]))
        self._block.gauge(LOADED, *labels).set(state is VersionState.LOADED)
        for each in VersionState:
            self._block.gauge(STATES, *labels, each.value).set(state is each)
        if state in {VersionState.LOADED, VersionState.REFUSED}:
            self._block.counter(LOADS, *labels, state.value).inc()

    def record_alias(self, model: str, alias: str, before: int | None, after: int | None) -> None:
        """Count a change of an alias; its first version, at the start of a worker, is none."""
        if before is not None and before != after:
            self._block.counter(ALIAS_CHANGES, model, alias).inc()

    def remove(self, key: Key) -> None:
        """Remove the series of a version that is neither in the repository nor loaded."""
        self._block.remove(_OF_VERSION, key[0], str(key[1]))


class ResourceMetrics:
    """Leases, sessions and asyncio tasks of a process, and the age of what it knows of the repository.

    A level that grows while the server is idle is a leak; the age, that the file system does not answer.

    Tracks every version that was loaded and has not been garbage-collected.
    """

    def __init__(self, block: MetricsBlock) -> None:
        self._servables: WeakSet[Servable] = WeakSet()
        self._sessions: WeakSet[OnnxSession] = WeakSet()
        self._leases = block.gauge(LEASES)
        self._open = block.gauge(SESSIONS)
        self._tasks = block.gauge(TASKS)
        self._read_age = block.gauge(READ_AGE)
        self._poll = block.gauge(POLL)
        self._read_at = time.monotonic()

    def record_poll_seconds(self, seconds: float) -> None:
        """Record how often the repository is polled."""
        self._poll.set(seconds)

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
