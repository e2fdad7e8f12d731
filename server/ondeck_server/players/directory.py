"""The player directory of a worker: an index of the players in a file that all workers map."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ondeck_core.errors import PlayersNotLoadedError

if TYPE_CHECKING:
    from ondeck_core.players.index import PlayerIndex, PlayerSearch
    from ondeck_core.players.resolver import Resolver

NEXT_TRY: Final = timedelta(days=1)
RETRY_SECONDS: Final = 5.0  # after a file could not be mapped

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The players as of the last read."""

    index: "PlayerIndex"
    search: "PlayerSearch"


class PlayerDirectory:
    """Holds the players; `changed` is awaited after the first snapshot."""

    def __init__(self, changed: Callable[[], Awaitable[None]]) -> None:
        self._changed = changed
        self._snapshot: Snapshot | None = None
        self._file = Path()
        self._is_new = asyncio.Event()

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

    def replace(self, file: Path) -> None:
        """Map a new file soon, in `map_files`; until then, and if that fails, the last snapshot stays."""
        self._file = file
        self._is_new.set()

    async def map_files(self) -> None:
        """Map new files, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            try:
                snapshot = await asyncio.to_thread(map_snapshot, self._file)
            except (OSError, ValueError) as failed:
                log.warning("players_not_mapped", detail="the last players stay", reason=str(failed))
                loop.call_later(RETRY_SECONDS, self._is_new.set)
                continue
            is_first, self._snapshot = self._snapshot is None, snapshot
            log.info("players_loaded", players=len(snapshot.index))
            if is_first:
                await self._changed()


def map_snapshot(file: Path) -> Snapshot:
    """Map a file of players.

    Raises:
        OSError: it cannot be mapped.
        ValueError: it is not whole.
    """
    # Imported here, since a server without players needs none of the libraries for names.
    from ondeck_core.players.index import PlayerIndex, PlayerSearch  # noqa: PLC0415  see above
    from ondeck_core.players.name_normalization import fold  # noqa: PLC0415  as above
    from ondeck_core.players.played_seasons import read_players  # noqa: PLC0415  as above

    fold("\u00e9")  # imports, in this thread and in no call, what a name beyond ASCII needs
    with file.open("rb") as opened:
        index = PlayerIndex(*read_players(memoryview(mmap(opened.fileno(), 0, access=ACCESS_READ))))
    return Snapshot(index=index, search=PlayerSearch(index))
