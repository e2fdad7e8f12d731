"""Files that hold Statcast exports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ondeck_core.errors import SourceRefusedError

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")


def exports_in(paths: Sequence[Path]) -> list[Path]:
    """List the export files: each path that is a file, and the exports in each folder, sorted.

    Raises:
        SourceRefusedError: a folder holds no export.
    """
    found: list[Path] = []
    for path in paths:
        files = _exports_of(path) if path.is_dir() else [path]
        if not files:
            raise SourceRefusedError(f"{path} holds no file that ends in {', '.join(SUFFIXES)}")
        found += files
    return found


def _exports_of(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.name.endswith(SUFFIXES) and not each.is_dir())
