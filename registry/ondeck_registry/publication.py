"""Publication of a version: it appears in the repository complete, by one rename, or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from ondeck_core.manifest import MANIFEST_FILE, GraphManifest, Manifest
from ondeck_registry import atomic_files
from ondeck_registry.alias_log import history
from ondeck_registry.repository import versions

M = TypeVar("M", Manifest, GraphManifest)
Signing: TypeAlias = Callable[[Mapping[str, str]], M]
Sign: TypeAlias = Signing[Manifest]
UNFINISHED: Final = ".publishing-"


def next_version(models: Path, model: str) -> int:
    """Return the number of the next version of a model: above all published ones and all that an alias ever had."""
    aliased = (change.to_version for change in history(models, model))
    return max([0, *versions(models, model), *aliased]) + 1


def publish(models: Path, files: Mapping[str, bytes], sign: Signing[M]) -> tuple[Path, M]:
    """Write a version under a temporary name, its manifest last, then rename it.

    `sign` makes the manifest, given the SHA-256 of each file. A published version is never overwritten: the rename
    fails.
    """
    manifest = sign({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    folder = models / manifest.model
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_files.exclusive_lock(folder):
        for unfinished in folder.glob(f"{UNFINISHED}*"):  # left by a killed publisher, since the lock is held
            shutil.rmtree(unfinished, ignore_errors=True)
        return _write_version(folder, files, manifest), manifest


def replace_files(models: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Replace files of a published version that are rendered from its other files, and sign them in its manifest."""
    folder = models / manifest.model / str(manifest.version)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    signed = manifest.model_copy(update={"files": {**manifest.files, **digests}})
    with atomic_files.exclusive_lock(folder.parent):
        for name, content in files.items():
            atomic_files.replace(folder / name, content)
        atomic_files.replace(folder / MANIFEST_FILE, (signed.model_dump_json(indent=2) + "\n").encode())


def _write_version(model_folder: Path, files: Mapping[str, bytes], manifest: Manifest | GraphManifest) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=model_folder))
    version = model_folder / str(manifest.version)
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
    atomic_files.sync(model_folder)
    return version
