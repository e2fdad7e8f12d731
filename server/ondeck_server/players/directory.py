"""The player directory: an index of players in memory, refreshed from the database off the serving path."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ondeck_core.errors import PlayersNotLoadedError
from ondeck_runtime.tasks import background
from ondeck_server.settings import ServerSettings
from ondeck_store.embedded.shared_server import has_database

if TYPE_CHECKING:
    from ondeck_core.players.index import PlayerIndex, PlayerSearch
    from ondeck_core.players.resolver import Resolver

NEXT_TRY: Final = timedelta(days=1)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The players as of the last read; a different `fingerprint` in the database means that they changed."""

    index: "PlayerIndex"
    search: "PlayerSearch"
    fingerprint: str


class PlayerDirectory:
    """Holds the players; `changed` is awaited after the first read."""

    def __init__(self, settings: ServerSettings, changed: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._changed = changed
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The players as of the last read.

        Raises:
            PlayersNotLoadedError: they are not loaded yet.
        """
        if self._snapshot is None:
            raise PlayersNotLoadedError("players are not loaded yet; the server's log has the reason if they cannot be")
        return self._snapshot

    @property
    def is_loaded(self) -> bool:
        """Whether the players are loaded."""
        return self._snapshot is not None

    def resolver(self) -> "Resolver":
        """Create a resolver for the present date; errors as `snapshot`."""
        index = self.snapshot.index
        # Imported here, since a server without players needs none of the libraries for names.
        from ondeck_core.players.resolver import Resolver  # noqa: PLC0415  see above

        now = datetime.now(UTC)
        return Resolver(index=index, today=now.date(), next_try=now + NEXT_TRY)

    @asynccontextmanager
    async def refresh_periodically(self) -> AsyncIterator[None]:
        """Refresh the players periodically within the block; without a database there are none."""
        if self._settings.database_url is None and not has_database(Path(self._settings.home)):
            log.info("players_missing", detail="no database yet; ondeck ingest and ondeck players create one")
            yield
            return
        async with background(self._refresh()):
            yield

    async def _refresh(self) -> None:
        # Imported here, since a server without a database needs no SQLAlchemy.
        from ondeck_server.players.reader import PlayersUnreadableError, read_players  # noqa: PLC0415  see above

        while True:
            known = self._snapshot.fingerprint if self._snapshot else ""
            try:
                snapshot = await asyncio.to_thread(asyncio.run, read_players(self._settings, known))
            except PlayersUnreadableError as failed:
                log.warning("players_failed", detail="players cannot be read", reason=str(failed))
            else:
                await self._replace(snapshot)
            await asyncio.sleep(self._settings.players_refresh_seconds)

    async def _replace(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        is_first, self._snapshot = self._snapshot is None, snapshot
        log.info("players_loaded", players=len(snapshot.index))
        if is_first:
            await self._changed()
