"""Reads files of the model repository: only regular files of limited size, and never waits for another program.

A folder of the repository may hold anything: pipes, devices, symbolic links in a circle, files of any size.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ondeck_core.errors import ArtifactRefusedError

KIB: Final = 1 << 10
MIB: Final = 1 << 20
_CHUNK_BYTES: Final = 16 * MIB
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MISSING: Final = {errno.ENOENT, errno.ENOTDIR}


class UnreadableFileError(ArtifactRefusedError):
    """The operating system did not let a file or folder be read; a later attempt may succeed."""


class MissingFileError(ArtifactRefusedError):
    """There is no such file."""


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a regular file; never blocks on a pipe, a device or a lease.

    Raises:
        MissingFileError: there is no such file.
        UnreadableFileError: the operating system does not let it be read.
        ArtifactRefusedError: it is not a regular file, or is larger than `max_bytes`.
    """
    with _os_errors(path):
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device may have effects
            raise ArtifactRefusedError(f"{path.name} is not a regular file")
        descriptor = os.open(path, _FLAGS)
        try:
            return _read(descriptor, path.name, max_bytes)
        finally:
            os.close(descriptor)


def list_folder(folder: Path) -> list[str]:
    """List the names in a folder in order.

    Raises:
        MissingFileError: there is no such folder.
        UnreadableFileError: the operating system does not let it be read.
    """
    with _os_errors(folder):
        return sorted(path.name for path in folder.iterdir())


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False if it does not exist.

    Raises:
        UnreadableFileError: the operating system does not know, as in a loop of symbolic links.
    """
    try:
        with _os_errors(path):
            return stat.S_ISDIR(path.stat().st_mode)
    except MissingFileError:
        return False


def _read(descriptor: int, name: str, max_bytes: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # it was replaced since
        raise ArtifactRefusedError(f"{name} is not a regular file")
    chunks: list[bytes] = []
    left = max_bytes + 1
    if status.st_size <= max_bytes:
        while left and (chunk := os.read(descriptor, min(left, _CHUNK_BYTES))):
            chunks.append(chunk)
            left -= len(chunk)
    if status.st_size > max_bytes or not left:
        raise ArtifactRefusedError(f"{name} is larger than the limit of {_format_size(max_bytes)}")
    return b"".join(chunks)


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        if failed.errno in _MISSING:
            raise MissingFileError(f"{path.name} is missing") from None
        raise UnreadableFileError(f"{path.name} cannot be read: {failed.strerror}") from None
    except ValueError:  # a path with a null character
        raise UnreadableFileError(f"{path.name} is no valid path") from None


def _format_size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
