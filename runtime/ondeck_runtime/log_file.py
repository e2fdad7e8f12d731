"""Log files: JSON lines that several processes of a program append to, rotated by size and bounded in number.

Each line is one write to the end of the file. The process that finds the file full renames it, under a lock; the others
open the new file before their next line, as `WatchedFileHandler` does.
"""

import fcntl
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10 << 20  # of a file; a line more may exceed it
OLDER_FILES: Final = 4  # NAME.1 is the newest of them
FOLDER: Final = "logs"
SUFFIX: Final = ".jsonl"
_MODE: Final = 0o640


class SharedLogFile(WatchedFileHandler):
    """A rotated file of lines; one that cannot be written loses lines, which ends no program."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, older_files: int = OLDER_FILES) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._path = path
        self._max_bytes = max_bytes
        self._older_files = older_files
        self._has_failed = False

    def write_line(self, line: str) -> None:
        """Append a line."""
        self.handle(logging.makeLogRecord({"msg": line}))

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record, after the file has been replaced if it is full."""
        try:
            self.reopenIfNeeded()
            if self._is_full():
                self._rotate()
            if self.stream is None:
                self.stream = self._open()
            self.stream.write(f"{record.getMessage()}\n")
        except OSError as failed:
            self._report(failed)

    def _open(self) -> io.TextIOWrapper:
        """Open the file so that each text is written at once: a second write could follow a line of another process."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        stream = io.TextIOWrapper(io.FileIO(descriptor, "a"), encoding="utf-8", errors="replace", write_through=True)
        opened = os.fstat(descriptor)
        self.dev, self.ino = opened.st_dev, opened.st_ino
        return stream

    def _is_full(self) -> bool:
        return self.stream is not None and os.fstat(self.stream.fileno()).st_size >= self._max_bytes

    def _rotate(self) -> None:
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.reopenIfNeeded()
            if not self._is_full():  # another process was first
                return
            for number in range(self._older_files - 1, 0, -1):
                with suppress(FileNotFoundError):
                    _numbered(self._path, number).rename(_numbered(self._path, number + 1))
            self._path.rename(_numbered(self._path, 1))
            self.reopenIfNeeded()

    def _report(self, failed: OSError) -> None:
        """Write to standard error why the file misses lines, once."""
        if not self._has_failed:
            self._has_failed = True
            with suppress(OSError, ValueError):
                sys.stderr.write(f"the log file {str(self._path)!r} cannot be written: {failed.strerror or failed}\n")


def default_file(home: Path, program: str) -> Path | None:
    """Return the log file of a program in a home folder; None: the folder does not exist, or cannot be reached."""
    try:
        return home / FOLDER / f"{program}{SUFFIX}" if home.is_dir() else None
    except OSError:  # of a folder above it that this user may not search, for example
        return None


def log_files(folder: Path) -> Iterator[Path]:
    """Yield the log files in a folder, also older ones."""
    yield from sorted(path for path in folder.glob(f"*{SUFFIX}*") if not path.name.startswith("."))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
