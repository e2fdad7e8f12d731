"""The process that reads the players from the database, so that no other process needs SQLAlchemy.

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
from ondeck_server.ipc.messages import PlayersRequest, PlayersResult
from ondeck_server.settings import ServerSettings
from ondeck_store.database import open_database
from ondeck_store.migrations import migrate
from ondeck_store.players.index_loader import fingerprint, read_index

_SPARE_SECONDS: Final = 30  # this process ends itself this long after the supervisor should have ended it
_NICENESS: Final = 10


async def read_players(request: PlayersRequest) -> PlayersResult:
    """Write the players to the file of the request, unless the database still has its fingerprint."""
    try:
        async with open_database(ServerSettings.model_validate(request.settings)) as database:
            await migrate(database.engine)
            async with database.engine.connect() as connection:
                current = await fingerprint(connection)
                if current != request.known:
                    _write(Path(request.path), (await read_index(connection)).block)
    except Exception as failed:  # noqa: BLE001  of the database, its server, the disk or the memory
        reason = next(iter(str(failed).splitlines()), type(failed).__name__)
        return PlayersResult(fingerprint=request.known, failed=printable(reason))
    return PlayersResult(fingerprint=current)


def _write(path: Path, content: memoryview) -> None:
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
