"""A version that answers, with the queues before its graph; whoever holds a lease keeps it alive."""

import asyncio
from types import TracebackType
from typing import Self

from ondeck_server.batching.batcher import Batcher, BatchingConfig
from ondeck_server.batching.stats import InferenceStats
from ondeck_server.models.loader import LoadedGraph, LoadedVersion, of_task


class Servable:
    """A loaded version while it is in service; `graph` takes features, the batcher of `of_task` takes instances."""

    def __init__(self, loaded: LoadedGraph, batching: BatchingConfig, stats: InferenceStats) -> None:
        self.loaded = loaded
        self.stats = stats
        self.graph = Batcher(loaded.session.infer, batching, stats, loaded.graph_latency)
        self._instances = (
            Batcher(loaded.predict, batching, stats, loaded.latency) if isinstance(loaded, LoadedVersion) else None
        )
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def of_task(self) -> tuple[LoadedVersion, Batcher]:
        """Take the version as one of a task.

        Raises:
            NoTaskError: it is a graph alone.
        """
        version = of_task(self.loaded)
        assert self._instances is not None  # noqa: S101  a version of a task has one
        return version, self._instances

    @property
    def leases(self) -> int:
        """Count the leases that are held."""
        return self._leases

    def acquire(self) -> None:
        """Count one more lease; only a lease calls this."""
        self._leases += 1
        self._idle.clear()

    def release_one(self) -> None:
        """Count a lease less; only a lease calls this."""
        self._leases -= 1
        if not self._leases:
            self._idle.set()

    async def wait_released(self) -> None:
        """Wait until nobody holds a lease."""
        await self._idle.wait()


class Lease:
    """A version that answers for as long as this is held, and the alias through which it was chosen ("" by number)."""

    __slots__ = ("_held", "alias", "servable")

    def __init__(self, servable: Servable, alias: str) -> None:
        self.servable = servable
        self.alias = alias
        self._held = True
        servable.acquire()

    def release(self) -> None:
        """Let go; doing so twice changes nothing."""
        if self._held:
            self._held = False
            self.servable.release_one()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class TaskLease(Lease):
    """A lease on a version of a task."""

    __slots__ = ("batcher", "version")

    def __init__(self, servable: Servable, alias: str) -> None:
        """Take the lease; raises NoTaskError where the version is a graph alone."""
        self.version, self.batcher = servable.of_task()
        super().__init__(servable, alias)
