"""Files that hold Statcast exports: which are meant by a path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ondeck_core.errors import SourceRefusedError

ENDINGS: Final = (".csv", ".csv.gz", ".parquet")


def exports_in(paths: Sequence[Path]) -> list[Path]:
    """List the files meant; a folder means the exports in it.

    Raises:
        SourceRefusedError: a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = _inside(path) if path.is_dir() else [path]
        if not inside:
            raise SourceRefusedError(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
        found += inside
    return found


def _inside(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.name.endswith(ENDINGS) and not each.is_dir())
