"""Files that hold Statcast exports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.file_formats import DATA_SUFFIXES, MAX_BYTES

MAX_NAMES: Final = 5  # of skipped files in a message
log = structlog.get_logger()


def exports_in(paths: Sequence[Path]) -> list[Path]:
    """List the export files: each path that is a file, and the files with the name of a table in each folder, sorted.

    Other files in a folder are logged.

    Raises:
        SourceRefusedError: a folder holds no export.
    """
    found: list[Path] = []
    for path in paths:
        files = _exports_of(path) if path.is_dir() else [path]
        if not files:
            raise SourceRefusedError(f"{path} holds no file that ends in {', '.join(DATA_SUFFIXES)}")
        found += files
    return found


def read_file(path: Path) -> bytes:
    """Read an export file.

    Raises:
        SourceRefusedError: the file cannot be read, or is too large.
    """
    try:
        is_too_large = path.stat().st_size > MAX_BYTES
        content = b"" if is_too_large else _read_limited(path)
    except OSError as failed:
        raise SourceRefusedError(f"it cannot be read ({failed.strerror})") from failed
    if is_too_large or len(content) > MAX_BYTES:
        raise SourceRefusedError(f"it has more than {MAX_BYTES >> 30} GiB: split it by season")
    return content


def _read_limited(path: Path) -> bytes:
    """Read a file, of whose size a pipe or device says nothing, up to the first byte beyond the limit."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _exports_of(folder: Path) -> list[Path]:
    files = sorted(each for each in folder.iterdir() if not each.is_dir() and not each.name.startswith("."))
    exports = [each for each in files if each.name.lower().endswith(DATA_SUFFIXES)]
    skipped = [each.name for each in files if each not in exports]
    if skipped:
        log.warning("files_skipped", folder=str(folder), count=len(skipped), names=skipped[:MAX_NAMES])
    return exports
