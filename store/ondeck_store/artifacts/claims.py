"""What a version claims, read; what cannot be read is refused in words."""

import hashlib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import EVALUATION_FILE, MANIFEST_FILE, Manifest

C = TypeVar("C", bound=BaseModel)


def read_manifest(folder: Path, model: str, version: int) -> Manifest:
    """Read what a version claims; it must be of this model and number."""
    manifest = read_claim(Manifest, folder / MANIFEST_FILE)
    if (manifest.model, manifest.version) != (model, version):
        raise ArtifactRefusedError(f"its manifest is of {manifest.model} version {manifest.version}")
    return manifest


def read_evaluation(folder: Path) -> Evaluation:
    """Read how a version was judged."""
    return read_claim(Evaluation, folder / EVALUATION_FILE)


def read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read every file that a manifest names.

    Raises:
        ArtifactRefusedError: one is missing, or is not the file that was published.
    """
    return {name: _published(folder, name, digest) for name, digest in manifest.files.items()}


def _published(folder: Path, name: str, digest: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise ArtifactRefusedError(f"{name} is missing") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArtifactRefusedError(f"{name} is not the file that was published: its SHA-256 differs")
    return content


def read_claim(kind: type[C], path: Path) -> C:
    """Read one file of a version.

    Raises:
        ArtifactRefusedError: it is missing, or does not hold what it should.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactRefusedError(f"{path.name} is missing") from None
    return claim_of(kind, content, path.name)


def claim_of(kind: type[C], content: bytes, name: str) -> C:
    """Read what a file of that name holds.

    Raises:
        ArtifactRefusedError: it does not hold what it should.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise ArtifactRefusedError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
