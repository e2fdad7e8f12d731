"""Durable file writes, and the lock that admits one writer at a time to a folder.

After each call the files are complete on disk, even if the process crashes or the machine loses power.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ondeck_core.errors import OndeckError

LOCK_FILE: Final = ".lock"
LOCK_TIMEOUT_SECONDS: Final = 60.0
_LOCK_MODE: Final = 0o600  # anyone who can open the file can hold the lock


class RepositoryLockedError(OndeckError):
    """The folder of a model cannot be written now."""


def write(path: Path, content: bytes) -> None:
    """Write a new file, and sync it."""
    with path.open("xb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def replace(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader gets the old content or the new one."""
    fresh = path.with_name(f".{path.name.removeprefix('.')}.new")
    fresh.unlink(missing_ok=True)  # left by a writer that died
    write(fresh, content)
    fresh.replace(path)
    sync(path.parent)


def append(path: Path, content: bytes) -> None:
    """Append to a file, and create it if it does not exist."""
    with path.open("ab") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file."""
    path.unlink()
    sync(path.parent)


def sync(folder: Path) -> None:
    """Sync a folder, so that files created, renamed or removed in it stay so after a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def exclusive_lock(folder: Path, timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the write lock of a folder within the block; readers do not wait.

    The kernel holds the lock and releases it when the process dies.

    Raises:
        RepositoryLockedError: another process holds it for longer than `timeout` seconds, or the folder is read-only.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=timeout, mode=_LOCK_MODE, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise RepositoryLockedError(
            f"another program has been writing in the folder {folder.name} for {timeout:g} seconds; try again"
        ) from None
    except OSError as refused:
        raise RepositoryLockedError(f"the folder {folder.name} cannot be written: {refused.strerror}") from refused
    try:
        with suppress(OSError):  # of another owner, or gone
            (folder / LOCK_FILE).chmod(_LOCK_MODE)  # made by an earlier release
        yield
    finally:
        lock.release()
