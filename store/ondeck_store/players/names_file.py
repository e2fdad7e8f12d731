"""The block of the names in a file of the home folder: making it takes seconds, mapping it takes none.

Any program may write the file, and uses it only if it has the fingerprint of the database.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ondeck_core.players.block_sections import pack_sections, read_sections
from ondeck_store.players.index_loader import names_fingerprint, read_names

if TYPE_CHECKING:
    from ondeck_store.connection import Connection

FILE: Final = "player-names.index"
_FINGERPRINT, _NAMES = "fingerprint", "names"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class NamesBlock:
    """A block of names with its fingerprint."""

    fingerprint: str
    block: memoryview


def map_names(home: Path) -> NamesBlock | None:
    """Map the file of a home folder; None: there is none, or it cannot be read or is not whole."""
    with suppress(OSError, ValueError), (home / FILE).open("rb") as opened:
        sections = read_sections(memoryview(mmap(opened.fileno(), 0, access=ACCESS_READ)))
        return NamesBlock(fingerprint=bytes(sections[_FINGERPRINT]).decode(), block=sections[_NAMES])
    return None


async def current_names(connection: "Connection", home: Path) -> NamesBlock:
    """Return the names of the database: from the file if it has them, else they are read and the file is written."""
    fingerprint = await names_fingerprint(connection)
    mapped = map_names(home)
    if mapped is not None and mapped.fingerprint == fingerprint:
        return mapped
    block = await read_names(connection)
    _write(home, pack_sections({_FINGERPRINT: fingerprint.encode(), _NAMES: block}))
    return NamesBlock(fingerprint=fingerprint, block=memoryview(block))


def _write(home: Path, content: bytes) -> None:
    """Replace the file; a folder that cannot be written costs only the time of the next read."""
    new = home / f"{FILE}.{os.getpid()}"
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(home / FILE)
    except OSError as failed:
        log.warning("player_names_not_stored", detail="the next read makes them again", reason=failed.strerror)
        with suppress(OSError):
            new.unlink(missing_ok=True)
