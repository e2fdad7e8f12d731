"""Reads the model repository: models, versions and aliases of a folder, and the files of one version."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import EVALUATION_FORMAT, Evaluation
from ondeck_core.manifest import (
    ALIASES_FILE,
    EVALUATION_FILE,
    MANIFEST_FILE,
    MANIFEST_FORMAT,
    Aliases,
    GraphManifest,
    Manifest,
)

C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """The versions of one model, and its aliases with the version that each points to."""

    model: str
    versions: tuple[int, ...]
    aliases: dict[str, int]


class _ManifestHeader(BaseModel):
    """The header of a manifest: its kind, that of a task by default, and its format."""

    model_config = ConfigDict(extra="ignore")

    kind: str = "task"
    format: int = 1


class _EvaluationHeader(BaseModel):
    """The format of an evaluation; format 1 had no number."""

    model_config = ConfigDict(extra="ignore")

    format: int = 1


def read_repository(models: Path) -> list[ModelEntry]:
    """List the models of a folder by name; hidden folders and names that are no numbers are ignored.

    Raises:
        ArtifactRefusedError: there is no such folder, or an aliases.json cannot be read.
    """
    if not models.is_dir():
        what = "is not a folder" if models.exists() else "does not exist"
        raise ArtifactRefusedError(
            f"the model repository {models.resolve()} {what}; set ONDECK_MODEL_REPOSITORY or --model-repository"
        )
    names = (path.name for path in sorted(models.iterdir()) if path.is_dir() and not path.name.startswith("."))
    entries = (
        ModelEntry(model=name, versions=tuple(versions(models, name)), aliases=aliases(models, name)) for name in names
    )
    return [entry for entry in entries if entry.versions or entry.aliases]


def versions(models: Path, model: str) -> list[int]:
    """List the published versions of a model, in order."""
    folder = models / model
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and not name.startswith("0"))


def aliases(models: Path, model: str) -> dict[str, int]:
    """Read the aliases of a model, each with the version that it points to.

    Raises:
        ArtifactRefusedError: its aliases.json cannot be read.
    """
    path = models / model / ALIASES_FILE
    if not path.is_file():
        return {}
    try:
        return dict(Aliases.model_validate_json(path.read_bytes()).aliases)
    except ValidationError as invalid:
        raise ArtifactRefusedError(f"{path} cannot be read: {invalid.errors()[0]['msg']}") from invalid


def read_manifest(folder: Path, model: str, version: int) -> Manifest:
    """Read the manifest of a version of a task.

    Raises:
        ArtifactRefusedError: it cannot be read, is of another model or version, or describes an imported graph.
    """
    manifest = read_any_manifest(folder, model, version)
    if isinstance(manifest, GraphManifest):
        raise ArtifactRefusedError("it is an imported graph; only the Open Inference Protocol serves it")
    return manifest


def read_any_manifest(folder: Path, model: str, version: int) -> Manifest | GraphManifest:
    """Read the manifest of a version of a task or of an imported graph.

    Raises:
        ArtifactRefusedError: it cannot be read, or is of another model or version.
    """
    content = _read(folder / MANIFEST_FILE)
    header = parse_json(_ManifestHeader, content, MANIFEST_FILE)
    if header.format != MANIFEST_FORMAT:
        raise ArtifactRefusedError(
            f"it has format {header.format}, this release reads {MANIFEST_FORMAT}; migrate the repository with: "
            "ondeck models migrate"
        )
    kind: type[GraphManifest | Manifest] = GraphManifest if header.kind == "graph" else Manifest
    manifest = parse_json(kind, content, MANIFEST_FILE)
    if (manifest.model, manifest.version) != (model, version):
        raise ArtifactRefusedError(f"its manifest is of {manifest.model} version {manifest.version}")
    return manifest


def read_evaluation(folder: Path) -> Evaluation:
    """Read the evaluation of a version; errors as `parse_evaluation`."""
    return parse_evaluation(_read(folder / EVALUATION_FILE))


def parse_evaluation(content: bytes) -> Evaluation:
    """Parse the content of an evaluation file.

    Raises:
        ArtifactRefusedError: it has an older format, or its content is invalid.
    """
    header = parse_json(_EvaluationHeader, content, EVALUATION_FILE)
    if header.format != EVALUATION_FORMAT:
        raise ArtifactRefusedError(
            f"{EVALUATION_FILE} has format {header.format}, this release reads {EVALUATION_FORMAT}; "
            "migrate the repository with: ondeck models migrate"
        )
    return parse_json(Evaluation, content, EVALUATION_FILE)


def read_files(folder: Path, manifest: Manifest | GraphManifest) -> dict[str, bytes]:
    """Read every file that a manifest names.

    Raises:
        ArtifactRefusedError: a file is missing, or is not the one that was published.
    """
    return {name: _read_published(folder, name, digest) for name, digest in manifest.files.items()}


def read_json(kind: type[C], path: Path) -> C:
    """Read and parse one file of a version.

    Raises:
        ArtifactRefusedError: it is missing, or its content is invalid.
    """
    return parse_json(kind, _read(path), path.name)


def parse_json(kind: type[C], content: bytes, name: str) -> C:
    """Parse the content of a file; `name` is the file name in the error text.

    Raises:
        ArtifactRefusedError: the content is invalid.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        raise ArtifactRefusedError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _read_published(folder: Path, name: str, digest: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise ArtifactRefusedError(f"{name} is missing") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArtifactRefusedError(f"{name} is not the file that was published: its SHA-256 differs")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactRefusedError(f"{path.name} is missing") from None
