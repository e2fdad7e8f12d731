"""A version appears in the repository whole or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from ondeck_core.manifest import MANIFEST_FILE, GraphManifest, Manifest
from ondeck_registry import atomic_files
from ondeck_registry.alias_log import history
from ondeck_registry.lock import exclusive_lock
from ondeck_registry.repository import versions

M = TypeVar("M", Manifest, GraphManifest)
Signing: TypeAlias = Callable[[Mapping[str, str]], M]
Sign: TypeAlias = Signing[Manifest]
UNFINISHED: Final = ".publishing-"


def next_version(models: Path, model: str) -> int:
    """Tell the number that the next version of a model gets: above all that are there or served once."""
    once = (move.to_version for move in history(models, model))
    return max([0, *versions(models, model), *once]) + 1


def publish(models: Path, files: Mapping[str, bytes], sign: Signing[M]) -> tuple[Path, M]:
    """Write a version under a temporary name, its manifest last, and let it appear by one rename.

    `sign` makes the manifest, given the SHA-256 of each file. A version that is there is never written
    again: the rename fails.
    """
    manifest = sign({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    home = models / manifest.model
    home.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(home):
        _clear(home)
        return _appear(home, files, manifest), manifest


def _clear(home: Path) -> None:
    """Remove what publishers left that were killed: none is alive, since one who writes is alone in the folder."""
    for left in home.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _appear(home: Path, files: Mapping[str, bytes], manifest: Manifest | GraphManifest) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=home))
    version = home / str(manifest.version)
    try:
        for name, content in files.items():
            atomic_files.write(folder / name, content)
        atomic_files.write(folder / MANIFEST_FILE, (manifest.model_dump_json(indent=2) + "\n").encode())
        folder.chmod(0o755)
        atomic_files.sync(folder)
        folder.rename(version)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    atomic_files.sync(home)
    return version
