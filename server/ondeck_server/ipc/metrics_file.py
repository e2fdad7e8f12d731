"""Metrics files: a worker writes its metrics to memory-mapped files, which the supervisor reads.

A write to a mapped page that a full disk cannot store ends the process with SIGBUS. Each file is therefore allocated
before it is mapped; where that fails, the values stay in the memory of the worker, and the supervisor misses them.
"""

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import prometheus_client.values
from prometheus_client.mmap_dict import MmapedDict

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
_INITIAL_BYTES: Final = 1 << 16
_HEADER_BYTES: Final = 8
_MAX_PADDING_BYTES: Final = 28  # of an entry: its length, the padding of its key, value and timestamp


class AllocatedMetricsFile(MmapedDict):
    """Values by key in a file that is allocated before it is mapped, or in memory if that fails."""

    _f: BinaryIO | None = None  # type: ignore[assignment]  # the base class sets it, and None once closed

    def __init__(self, path: str) -> None:
        try:
            _allocate(path, _INITIAL_BYTES)
            super().__init__(path)  # type: ignore[no-untyped-call]  # it has no types
        except (OSError, ValueError, struct.error):  # the last two: another process has truncated or replaced the file
            self._use_memory(_INITIAL_BYTES)
            self._positions: dict[str, int] = {}
            self._used = _HEADER_BYTES
            self._m[:_HEADER_BYTES] = struct.pack("i4x", _HEADER_BYTES)

    @property
    def is_in_memory(self) -> bool:
        """Whether the values are invisible to other processes."""
        return self._f is None

    def _init_value(self, key: str) -> None:
        while self._used + len(key.encode()) + _MAX_PADDING_BYTES > self._capacity:
            self._grow(2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]  # it has no types

    def _grow(self, capacity: int) -> None:
        if self._f is not None:
            with suppress(OSError):
                os.posix_fallocate(self._f.fileno(), 0, capacity)
                self._m, self._capacity = mmap.mmap(self._f.fileno(), capacity), capacity
                return
        before = self._m
        self._use_memory(capacity)
        self._m[: self._used] = before[: self._used]

    def _use_memory(self, capacity: int) -> None:
        if self._f is not None:
            self._f.close()
        self._f, self._m, self._capacity = None, mmap.mmap(-1, capacity), capacity


def allocate_metrics_files() -> None:
    """Let prometheus_client allocate its files from now on; call it before the first metric is created.

    The id of the process is read once: this process does not fork, and a system call for each change is slow.
    """
    prometheus_client.values.MmapedDict = AllocatedMetricsFile  # type: ignore[assignment,attr-defined]  # a subclass
    if FOLDER_VARIABLE in os.environ:
        process_id = os.getpid()
        values = prometheus_client.values
        values.ValueClass = values.MultiProcessValue(lambda: process_id)  # type: ignore[no-untyped-call]  # it has no types


def _allocate(path: str, size: int) -> None:
    """Allocate a file of at least `size` bytes.

    Raises:
        OSError: the disk is full, or the folder is missing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, max(size, os.fstat(descriptor).st_size))
    except OSError:
        if os.fstat(descriptor).st_size == 0:
            Path(path).unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
