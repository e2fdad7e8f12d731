"""A version that answers, with the queue before its graph; whoever holds a lease keeps it alive."""

import asyncio
from types import TracebackType
from typing import Self

from ondeck_server.batching.batcher import Batcher, Manners
from ondeck_server.models.loaded import LoadedVersion


class Served:
    """A loaded version while it is in service."""

    def __init__(self, version: LoadedVersion, manners: Manners) -> None:
        self.version = version
        self.instances = Batcher(version.answer, manners, version.pace)
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def lease(self, alias: str) -> "Lease":
        """Keep the version alive until the lease is released."""
        self._leases += 1
        if self._leases == 1:
            self._idle.clear()
        return Lease(self, alias)

    def released(self) -> None:
        """Count a lease less; only a lease calls this."""
        self._leases -= 1
        if not self._leases:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nobody holds a lease."""
        await self._idle.wait()


class Lease:
    """A version that answers for as long as this is held, and the alias through which it was chosen ("" by number)."""

    __slots__ = ("_held", "alias", "served", "version")

    def __init__(self, served: Served, alias: str) -> None:
        self.served = served
        self.version = served.version
        self.alias = alias
        self._held = True

    def release(self) -> None:
        """Let go; doing so twice changes nothing."""
        if self._held:
            self._held = False
            self.served.released()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
