"""The process that reads the players from the database, so that no other process needs a driver.

`python -m ondeck_server.players.reader` reads a `PlayersRequest` from its input, writes a `PlayersResult` and exits.
"""

import os
from pathlib import Path

from ondeck_core.errors import printable
from ondeck_core.players.played_seasons import pack_players
from ondeck_server.ipc.child_answer import answer_request
from ondeck_server.ipc.messages import PlayersRequest, PlayersResult
from ondeck_server.settings import ServerSettings
from ondeck_store.connection import connect_migrated
from ondeck_store.players.index_files import current_names
from ondeck_store.players.index_loader import read_seasons, seasons_fingerprint


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


if __name__ == "__main__":
    answer_request(PlayersRequest, read_players)
