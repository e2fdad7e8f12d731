"""Reads of the players: a process of its own reads them from the database into one file, which every worker maps.

If a read fails, the workers keep the players of the last one, and it is tried again at the next interval.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

import structlog

from ondeck_runtime.metrics import CounterFamily, MetricsBlock
from ondeck_runtime.tasks import TaskMonitor
from ondeck_runtime.temporary_folders import create_folder
from ondeck_server.ipc.messages import PlayersFile, PlayersRequest, PlayersResult
from ondeck_server.settings import ServerSettings
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.process import ask_child
from ondeck_store.embedded.shared_server import has_database

OUTCOMES: Final = ("changed", "unchanged", "failed")
READS: Final = CounterFamily(
    "ondeck_player_reads",
    "reads of the players from the database: `changed`, `unchanged` or `failed`; after a failed read the last players "
    "stay",
    ("outcome",),
)
MAX_SECONDS: Final = 600  # of one read
_EXIT_SECONDS: Final = 10.0  # to leave the database after SIGTERM
_MODULE: Final = "ondeck_server.players.reader"

log = structlog.get_logger()


class PlayerReads:
    """Reads the players at intervals; `announce` is called with each new file."""

    def __init__(
        self,
        settings: ServerSettings,
        reserve: DescriptorReserve,
        announce: Callable[[PlayersFile], None],
        metrics: MetricsBlock,
    ) -> None:
        self._settings = settings
        self._reserve = reserve
        self._announce = announce
        self._counts = {outcome: metrics.counter(READS, outcome) for outcome in OUTCOMES}
        self._folder: Path | None = None
        self._file: Path | None = None
        self._numbers = count()
        self._fingerprint = ""

    @asynccontextmanager
    async def repeat(self, tasks: TaskMonitor) -> AsyncIterator[None]:
        """Read the players at intervals within the block, once there is a database; then remove the files."""
        try:
            async with tasks.restarting(player_reads=self._repeat):
                yield
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    async def _repeat(self) -> None:
        if not self._has_database():
            log.info("players_missing", detail="no database yet; ondeck ingest and ondeck players create one")
        while True:
            if self._has_database():
                self._counts[await self._read()].inc()
            await asyncio.sleep(self._settings.players_refresh_seconds)

    def _has_database(self) -> bool:
        return self._settings.database_url is not None or has_database(Path(self._settings.home))

    async def _read(self) -> str:
        """Read the players, announce them if they changed, and return the outcome."""
        known = self._fingerprint if self._file is not None and self._file.exists() else ""
        try:
            file = self._new_file()
            result = await self._run(known, file)
        except Exception as failed:  # noqa: BLE001  fork, exec, asyncio and the folder raise different errors
            result = PlayersResult(failed=str(failed) or type(failed).__name__)
        if result.failed:
            log.warning("players_failed", detail="players cannot be read", reason=result.failed)
            return "failed"
        if result.fingerprint == known:
            return "unchanged"
        self._fingerprint, self._file = result.fingerprint, file
        self._announce(PlayersFile(path=str(file)))
        return "changed"

    def _new_file(self) -> Path:
        """Return a path for the next file; all others but the present one are removed."""
        self._folder = self._folder or create_folder("players")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for old in self._folder.iterdir():
            if old != self._file:
                old.unlink()
        return self._folder / str(next(self._numbers))

    async def _run(self, known: str, file: Path) -> PlayersResult:
        settings = self._settings.model_dump(mode="json")
        request = PlayersRequest(settings=settings, known=known, path=str(file), seconds=MAX_SECONDS)
        text = request.model_dump_json()
        output = await ask_child(_MODULE, text, self._reserve, seconds=MAX_SECONDS, exit_seconds=_EXIT_SECONDS)
        return PlayersResult.model_validate_json(output)
