"""One writer at a time in the folder of a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ondeck_core.errors import OndeckError

LOCK_FILE: Final = ".lock"
PATIENCE_SECONDS: Final = 60.0


class RepositoryLockedError(OndeckError):
    """Nothing can be written into a model's folder now."""


@contextmanager
def exclusive_lock(folder: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Be the only one who writes into a folder, for as long as the block; readers need not wait.

    The kernel holds the lock and lets go of it for a process that was killed.

    Raises:
        RepositoryLockedError: another holds it for longer than `patience` seconds, or it cannot be written.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=patience, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise RepositoryLockedError(
            f"another program has been writing in {folder} for {patience:g} seconds; try again"
        ) from None
    except OSError as refused:
        raise RepositoryLockedError(f"{folder} cannot be written: {refused.strerror}") from refused
    try:
        yield
    finally:
        lock.release()
