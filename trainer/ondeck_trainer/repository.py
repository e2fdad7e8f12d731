"""The model repository, written: versions appear whole or not at all, aliases move in an act of their own."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import ALIASES_FILE, EVALUATION_FILE, MANIFEST_FILE, Aliases, Manifest

Sign = Callable[[Mapping[str, str]], Manifest]


def next_version(models: Path, model: str) -> int:
    """Tell the number that the next version of a model gets; numbers are never used again."""
    return max(versions(models, model), default=0) + 1


def versions(models: Path, model: str) -> list[int]:
    """List the published versions of a model, in order."""
    folder = models / model
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit()) if folder.is_dir() else []


def publish(models: Path, files: Mapping[str, bytes], sign: Sign) -> tuple[Path, Manifest]:
    """Write a version under a temporary name, its manifest last, and let it appear by one rename.

    `sign` makes the manifest, given the SHA-256 of each file. A version that is there is never written
    again: the rename fails.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = sign(digests)
    home = models / manifest.model
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".publishing-", dir=home))
    try:
        for name, content in files.items():
            _write(folder / name, content)
        _write(folder / MANIFEST_FILE, (manifest.model_dump_json(indent=2) + "\n").encode())
        folder.chmod(0o755)
        _sync(folder)
        folder.rename(home / str(manifest.version))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sync(home)
    return home / str(manifest.version), manifest


def aliases(models: Path, model: str) -> dict[str, int]:
    """Read which names point to which versions."""
    path = models / model / ALIASES_FILE
    return dict(Aliases.model_validate_json(path.read_bytes()).aliases) if path.is_file() else {}


def move_alias(models: Path, model: str, alias: str, version: int) -> None:
    """Point a name to a version that is there."""
    if version not in versions(models, model):
        raise FileNotFoundError(f"{model} has no version {version} to point {alias!r} to")
    moved = Aliases(aliases={**aliases(models, model), alias: version})
    path = models / model / ALIASES_FILE
    fresh = path.with_name(f".{ALIASES_FILE}.{os.getpid()}")
    _write(fresh, (moved.model_dump_json(indent=2) + "\n").encode())
    fresh.replace(path)
    _sync(path.parent)


def evaluation_of(models: Path, model: str, version: int) -> Evaluation:
    """Read how a version was judged."""
    return Evaluation.model_validate_json((models / model / str(version) / EVALUATION_FILE).read_bytes())


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
