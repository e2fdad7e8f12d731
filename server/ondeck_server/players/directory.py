"""Who the players are: read from the store off the serving path, and read again when something has changed there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from ondeck_core.errors import OndeckError, PlayersNotLoadedError
from ondeck_core.players.index import PlayerIndex, PlayerSearch
from ondeck_core.players.resolver import Resolver
from ondeck_server.settings import ServerSettings
from ondeck_store.database import LOST, open_database
from ondeck_store.embedded.sharing import has_database
from ondeck_store.migrations import migrate
from ondeck_store.players.index_loader import fingerprint, read_index

NEXT_TRY: Final = timedelta(days=1)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everyone who is known, as of the last reading; `fingerprint` tells whether there is more by now."""

    index: PlayerIndex
    search: PlayerSearch
    fingerprint: str


class PlayerDirectory:
    """Holds everyone who is known; `changed` is awaited once that is so."""

    def __init__(self, settings: ServerSettings, changed: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._changed = changed
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        """Everyone who is known.

        Raises:
            PlayersNotLoadedError: nobody has been read yet.
        """
        if self._snapshot is None:
            raise PlayersNotLoadedError("the players are not read yet; the server's log says if they cannot be")
        return self._snapshot

    @property
    def is_loaded(self) -> bool:
        """Whether they have been read."""
        return self._snapshot is not None

    def resolver(self) -> Resolver:
        """Make a resolver for questions that are asked now; errors as `known`."""
        now = datetime.now(UTC)
        return Resolver(index=self.snapshot.index, today=now.date(), next_try=now + NEXT_TRY)

    @asynccontextmanager
    async def refresh_periodically(self) -> AsyncIterator[None]:
        """Read them now and then, for as long as the block; without a database that exists, nobody is known."""
        if self._settings.database_url is None and not has_database(Path(self._settings.home)):
            log.info("no players known", reason="no database yet; ondeck ingest and ondeck players make one")
            yield
            return
        task = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _refresh(self) -> None:
        while True:
            try:
                fresh = await asyncio.to_thread(asyncio.run, self._read())
            except (OndeckError, *LOST) as failed:
                log.warning("players not read", reason=next(iter(str(failed).splitlines()), type(failed).__name__))
            else:
                await self._replace(fresh)
            await asyncio.sleep(self._settings.players_refresh_seconds)

    async def _replace(self, fresh: Snapshot | None) -> None:
        if fresh is None:
            return
        first, self._snapshot = self._snapshot is None, fresh
        log.info("players read", players=len(fresh.index))
        if first:
            await self._changed()

    async def _read(self) -> Snapshot | None:
        async with open_database(self._settings) as database:
            await migrate(database.engine)
            async with database.engine.connect() as connection:
                now = await fingerprint(connection)
                if self._snapshot is not None and self._snapshot.fingerprint == now:
                    return None
                index = await read_index(connection)
        return Snapshot(index=index, search=PlayerSearch(index), fingerprint=now)
