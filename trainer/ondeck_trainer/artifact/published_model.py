"""A published version that is opened for evaluation: its files are verified, its graph runs on one thread."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from ondeck_core.errors import ArtifactRefusedError, NotFoundError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import INPUT, MEMBERS, MODEL_FILE, OUTPUT, PRODUCTION, PROFILE_FILE, Manifest, Profile
from ondeck_core.tasks import Task
from ondeck_registry import repository
from ondeck_registry.repository import read_files, read_manifest
from ondeck_trainer.model.ensemble import Probabilities

_BATCH: Final = 8192


class ModelGraph:
    """An ONNX graph in a session of one thread."""

    def __init__(self, content: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def probabilities(self, features: Matrix) -> Probabilities:
        """Return calibrated probabilities of shape (n, outcomes)."""
        return self._run(OUTPUT, features)

    def members(self, features: Matrix) -> Probabilities:
        """Return the probabilities of each member, of shape (n, members, outcomes)."""
        return self._run(MEMBERS, features)

    def _run(self, output: str, features: Matrix) -> Probabilities:
        batches = (features[at : at + _BATCH] for at in range(0, len(features), _BATCH))
        results = [self._session.run([output], {INPUT: np.ascontiguousarray(batch)})[0] for batch in batches]
        return np.concatenate(results).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A published version of a task with its manifest, its training profile and its graph."""

    folder: Path
    task: Task
    manifest: Manifest
    profile: Profile
    graph: ModelGraph


def open_version(models: Path, task: Task, version: int | None = None) -> PublishedModel:
    """Open a version, by default the one in production, after a check of the SHA-256 of its files.

    Raises:
        NotFoundError: there is no such version, or none in production.
        ArtifactRefusedError: a file is not what was published, or the version has other features.
    """
    folder = models / task.name / str(_number(models, task, version))
    manifest = read_manifest(folder, task.name, int(folder.name))
    if manifest.feature_fingerprint != task.features.fingerprint:
        raise ArtifactRefusedError(f"{folder} was trained with other features ({manifest.feature_set})")
    files = read_files(folder, manifest)
    return PublishedModel(
        folder=folder,
        task=task,
        manifest=manifest,
        profile=Profile.model_validate_json(files[PROFILE_FILE]),
        graph=ModelGraph(files[MODEL_FILE]),
    )


def _number(models: Path, task: Task, version: int | None) -> int:
    known = repository.versions(models, task.name)
    if version is None:
        version = repository.aliases(models, task.name).get(PRODUCTION)
        if version is None:
            raise NotFoundError("alias", f"{task.name}@{PRODUCTION}", [str(each) for each in known])
    if version not in known:
        raise NotFoundError("version", f"{task.name}/{version}", [str(each) for each in known])
    return version
