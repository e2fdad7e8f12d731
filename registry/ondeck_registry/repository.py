"""Reads the model repository: models, versions and aliases of a folder, and the files of one version."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ondeck_core.errors import ArtifactRefusedError, printable
from ondeck_core.evaluation import EVALUATION_FORMAT, Evaluation
from ondeck_core.manifest import (
    ALIASES_FILE,
    EVALUATION_FILE,
    MANIFEST_FILE,
    MANIFEST_FORMAT,
    MAX_VERSION,
    MODEL_FILE,
    Aliases,
    GraphManifest,
    Manifest,
)
from ondeck_registry.file_reader import (
    KIB,
    MIB,
    MissingFileError,
    UnreadableFileError,
    is_folder,
    list_folder,
    read_file,
)

MAX_ALIASES_BYTES: Final = 64 * KIB
MAX_MANIFEST_BYTES: Final = MIB
MAX_FILE_BYTES: Final = 64 * MIB
MAX_GRAPH_BYTES: Final = 2048 * MIB - 1  # protobuf reads no larger message
_MODEL_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FILE_NAME: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_MAX_DIGITS: Final = len(str(MAX_VERSION))

C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """The versions of one model, and its aliases with the version that each points to.

    `faults` are the reasons why a part of the model is set aside. Without `has_known_aliases` its aliases could not be
    read; if there are no versions either, its folder could not.
    """

    model: str
    versions: tuple[int, ...]
    aliases: dict[str, int]
    faults: tuple[str, ...] = ()
    has_known_aliases: bool = True


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

    A model that cannot be read is listed with its faults; it affects no other.

    Raises:
        ArtifactRefusedError: there is no such folder, or it cannot be read.
    """
    if not is_folder(models):
        what = "is not a folder" if models.exists() else "does not exist"
        raise ArtifactRefusedError(
            f"the model repository {str(models.resolve())!r} {what}; set ONDECK_MODEL_REPOSITORY or --model-repository"
        )
    entries = (_read_entry(models, name) for name in list_folder(models) if not name.startswith("."))
    return [entry for entry in entries if entry.versions or entry.aliases or entry.faults]


def versions(models: Path, model: str) -> list[int]:
    """List the published versions of a model, in order.

    Raises:
        UnreadableFileError: the folder of the model cannot be read.
    """
    return _list_versions(models / model)[0]


def aliases(models: Path, model: str) -> dict[str, int]:
    """Read the aliases of a model, each with the version that it points to.

    Raises:
        ArtifactRefusedError: its aliases.json cannot be read.
    """
    path = models / model / ALIASES_FILE
    try:
        return dict(Aliases.model_validate_json(read_file(path, MAX_ALIASES_BYTES)).aliases)
    except MissingFileError:
        return {}
    except ValidationError as invalid:
        raise ArtifactRefusedError(f"{model}/{ALIASES_FILE} cannot be read: {invalid.errors()[0]['msg']}") from None


def _read_entry(models: Path, name: str) -> ModelEntry:
    try:
        numbers, faults = _list_versions(models / name)
    except ArtifactRefusedError as refused:
        is_model = _MODEL_NAME.fullmatch(name) is not None  # others, as lost+found, are no models
        faults = [printable(str(refused))] if is_model else []
        return ModelEntry(
            model=printable(name), versions=(), aliases={}, faults=tuple(faults), has_known_aliases=not is_model
        )
    if not _MODEL_NAME.fullmatch(name):
        wrong = ["the name of a model has lower-case letters, digits and _, a letter first, at most 64"]
        return ModelEntry(model=printable(name), versions=(), aliases={}, faults=tuple(wrong if numbers else ()))
    try:
        known = aliases(models, name)
        faults += [
            f"{alias} points to version {number}, which does not exist"
            for alias, number in sorted(known.items())
            if number not in numbers
        ]
        return ModelEntry(model=name, versions=tuple(numbers), aliases=known, faults=tuple(faults))
    except ArtifactRefusedError as refused:
        faults = [*faults, printable(str(refused))]
        return ModelEntry(
            model=name, versions=tuple(numbers), aliases={}, faults=tuple(faults), has_known_aliases=False
        )


def _list_versions(folder: Path) -> tuple[list[int], list[str]]:
    """Return the published versions of a model in order, and the faults of folders that are set aside."""
    numbers, faults = [], []
    for name in list_folder(folder) if is_folder(folder) else []:
        if not (name.isascii() and name.isdigit()) or name.startswith("0"):
            continue
        try:
            is_version = is_folder(folder / name)
        except UnreadableFileError as refused:
            faults.append(f"version {printable(str(refused))}")
            continue
        if is_version and (len(name) > _MAX_DIGITS or int(name) > MAX_VERSION):
            faults.append(f"version {printable(name)} is set aside: the highest number is {MAX_VERSION}")
        elif is_version:
            numbers.append(int(name))
    return sorted(numbers), faults


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
    content = read_file(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
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
    if MODEL_FILE not in manifest.files:
        raise ArtifactRefusedError(f"its manifest does not name {MODEL_FILE}")
    return manifest


def read_evaluation(folder: Path) -> Evaluation:
    """Read the evaluation of a version; errors as `parse_evaluation`."""
    return parse_evaluation(read_file(folder / EVALUATION_FILE, MAX_FILE_BYTES))


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
    return parse_json(kind, read_file(path, MAX_FILE_BYTES), path.name)


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
    if not _FILE_NAME.fullmatch(name):
        raise ArtifactRefusedError(f"its manifest names the file {printable(name)!r}, which is no plain file name")
    content = read_file(folder / name, MAX_GRAPH_BYTES if name == MODEL_FILE else MAX_FILE_BYTES)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArtifactRefusedError(f"{name} is not the file that was published: its SHA-256 differs")
    return content
