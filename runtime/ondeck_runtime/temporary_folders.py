"""Folders for temporary files of a program; those of killed programs are removed when the next one is created.

Each folder is locked by its process, and named after it. The kernel releases the lock of a killed process.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"ondeck-[a-z]+-(?P<pid>\d+)-\w+")
_locks: Final[list[int]] = []  # held until the process ends


def create_folder(kind: str) -> Path:
    """Create a private folder for temporary files, `ondeck-KIND-PID-…`; the caller removes it.

    Raises:
        OSError: it cannot be created.
    """
    parent = Path(tempfile.gettempdir())
    for left_over in _left_over(parent):
        shutil.rmtree(left_over, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"ondeck-{kind}-{os.getpid()}-", dir=parent))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    _locks.append(descriptor)
    return folder


def _left_over(parent: Path) -> Iterator[Path]:
    """Yield the folders of this user whose process has ended, here or in another process namespace."""
    for folder in parent.glob("ondeck-*"):
        found = _NAME.fullmatch(folder.name)
        with suppress(OSError):
            if found and folder.lstat().st_uid == os.geteuid() and not _exists(int(found["pid"])) and _is_free(folder):
                yield folder


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_free(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
