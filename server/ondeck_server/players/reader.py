"""The process that reads the players from the database, so that no other process needs a driver.

`python -m ondeck_server.players.reader` reads a `PlayersRequest` from its input, writes a `PlayersResult` and exits.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from ondeck_core.errors import printable
from ondeck_core.players.played_seasons import pack_players
from ondeck_server.ipc.messages import PlayersRequest, PlayersResult
from ondeck_server.settings import ServerSettings
from ondeck_store.connection import connect_migrated
from ondeck_store.players.index_files import current_names
from ondeck_store.players.index_loader import read_seasons, seasons_fingerprint

_SPARE_SECONDS: Final = 30  # this process ends itself this long after the supervisor should have ended it
_NICENESS: Final = 10


async def read_players(request: PlayersRequest) -> PlayersResult:
    """Write the players to the file of the request, unless the database still has its fingerprint."""
    settings = ServerSettings.model_validate(request.settings)
    try:
        async with connect_migrated(settings) as connection:
            names = await current_names(connection, settings.home)
            current = f"{names.fingerprint} {await seasons_fingerprint(connection)}"
            if current != request.known:
                _write(Path(request.path), pack_players(names.block, await read_seasons(connection, names.block)))
    except Exception as failed:  # noqa: BLE001  of the database, its server, the disk or the memory
        reason = next(iter(str(failed).splitlines()), type(failed).__name__)
        return PlayersResult(fingerprint=request.known, failed=printable(reason))
    return PlayersResult(fingerprint=current)


def _write(path: Path, content: bytes) -> None:
    """Write a file; it is synced, since a file system may report only then that it is full."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


async def _read_until_stopped(request: PlayersRequest) -> PlayersResult:
    """Read the players; on SIGTERM leave the database in order first, whose server may be shared."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  it is this coroutine
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await read_players(request)


def main() -> None:
    """Answer the request of the input."""
    os.nice(_NICENESS)
    results = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no result
    request = PlayersRequest.model_validate_json(sys.stdin.buffer.read())
    signal.alarm(request.seconds + _SPARE_SECONDS)
    with suppress(asyncio.CancelledError):
        os.write(results, asyncio.run(_read_until_stopped(request)).model_dump_json().encode())


if __name__ == "__main__":
    main()
