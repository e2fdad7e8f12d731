"""What a version claims, read; what cannot be read is refused in words."""

import hashlib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import EVALUATION_FILE, MANIFEST_FILE, MANIFEST_FORMAT, GraphManifest, Manifest

C = TypeVar("C", bound=BaseModel)


class _Kind(BaseModel):
    """The header of a manifest: its kind, that of a task by default, and its format."""

    model_config = ConfigDict(extra="ignore")

    kind: str = "task"
    format: int = 1


def read_manifest(folder: Path, model: str, version: int) -> Manifest:
    """Read what a version of one of our tasks claims; it must be of this model and number."""
    manifest = read_any_manifest(folder, model, version)
    if isinstance(manifest, GraphManifest):
        raise ArtifactRefusedError("it is a graph without a task, served through the Open Inference Protocol alone")
    return manifest


def read_any_manifest(folder: Path, model: str, version: int) -> Manifest | GraphManifest:
    """Read what a version claims, be it of a task or a graph alone; it must be of this model and number."""
    content = _read(folder / MANIFEST_FILE)
    header = claim_of(_Kind, content, MANIFEST_FILE)
    if header.format != MANIFEST_FORMAT:
        raise ArtifactRefusedError(
            f"it has format {header.format}, this release reads {MANIFEST_FORMAT}; migrate the repository with: "
            "ondeck models migrate"
        )
    kind: type[GraphManifest | Manifest] = GraphManifest if header.kind == "graph" else Manifest
    manifest = claim_of(kind, content, MANIFEST_FILE)
    if (manifest.model, manifest.version) != (model, version):
        raise ArtifactRefusedError(f"its manifest is of {manifest.model} version {manifest.version}")
    return manifest


def read_evaluation(folder: Path) -> Evaluation:
    """Read how a version was judged."""
    return read_claim(Evaluation, folder / EVALUATION_FILE)


def read_files(folder: Path, manifest: Manifest | GraphManifest) -> dict[str, bytes]:
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
    return claim_of(kind, _read(path), path.name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactRefusedError(f"{path.name} is missing") from None


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
