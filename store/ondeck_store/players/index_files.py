"""The blocks of the names and of the played seasons in files of the home folder: mapping them takes no time.

Making the names takes seconds, making the seasons some tenths of one. Any program may write the files, and uses one
only if it has the fingerprint of the database.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ondeck_core.players.block_sections import pack_sections, read_sections
from ondeck_store.players.index_loader import names_fingerprint, read_names, read_seasons, seasons_fingerprint

if TYPE_CHECKING:
    from ondeck_store.connection import Connection

FILE: Final = "player-names.index"
SEASONS_FILE: Final = "player-seasons.index"
_FINGERPRINT, _BLOCK = "fingerprint", "block"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class PlayersBlock:
    """A block of names or of played seasons, with its fingerprint."""

    fingerprint: str
    block: memoryview


def map_block(path: Path) -> PlayersBlock | None:
    """Map a file; None: there is none, or it cannot be read or is not whole."""
    with suppress(OSError, ValueError, KeyError), path.open("rb") as opened:
        sections = read_sections(memoryview(mmap(opened.fileno(), 0, access=ACCESS_READ)))
        return PlayersBlock(fingerprint=bytes(sections[_FINGERPRINT]).decode(), block=sections[_BLOCK])
    return None


async def current_names(connection: "Connection", home: Path) -> PlayersBlock:
    """Return the names of the database: from the file if it has them, else they are read and the file is written."""
    return await _current(home / FILE, await names_fingerprint(connection), partial(read_names, connection))


async def current_seasons(connection: "Connection", home: Path, names: PlayersBlock) -> PlayersBlock:
    """Return the played seasons of the players of the names, from their file as `current_names`."""
    fingerprint = f"{names.fingerprint} {await seasons_fingerprint(connection)}"
    return await _current(home / SEASONS_FILE, fingerprint, partial(read_seasons, connection, names.block))


async def _current(path: Path, fingerprint: str, read: Callable[[], Awaitable[bytes]]) -> PlayersBlock:
    mapped = map_block(path)
    if mapped is not None and mapped.fingerprint == fingerprint:
        return mapped
    block = await read()
    _write(path, pack_sections({_FINGERPRINT: fingerprint.encode(), _BLOCK: block}))
    return PlayersBlock(fingerprint=fingerprint, block=memoryview(block))


def _write(path: Path, content: bytes) -> None:
    """Replace the file; a folder that cannot be written costs only the time of the next read."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as failed:
        log.warning("player_index_not_stored", detail="the next read makes it again", reason=failed.strerror)
        with suppress(OSError):
            new.unlink(missing_ok=True)
