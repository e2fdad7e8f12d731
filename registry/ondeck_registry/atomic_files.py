"""Files that are there, whole, once the call returns: also after a crash and without power."""

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a file that nobody reads yet."""
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def replace(path: Path, content: bytes) -> None:
    """Put a file in the place of another: whoever reads has the old one or the new one."""
    fresh = path.with_name(f".{path.name.removeprefix('.')}.new")
    write(fresh, content)
    fresh.replace(path)
    sync(path.parent)


def append(path: Path, content: bytes) -> None:
    """Add to the end of a file, which is made if it is not there."""
    with path.open("ab") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    sync(path.parent)


def remove(path: Path) -> None:
    """Take a file away."""
    path.unlink()
    sync(path.parent)


def sync(folder: Path) -> None:
    """See to it that what was made, renamed or removed in a folder stays so."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
