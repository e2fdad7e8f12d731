"""A published version, opened as the server opens it: checked, then asked through its graph."""

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

_SLICE: Final = 8192


class ModelGraph:
    """A graph on one thread."""

    def __init__(self, content: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def probabilities(self, features: Matrix) -> Probabilities:
        """Answer features of shape (n, features)."""
        return self._run(OUTPUT, features)

    def members(self, features: Matrix) -> Probabilities:
        """Tell what each member says, of shape (n, members, outcomes)."""
        return self._run(MEMBERS, features)

    def _run(self, output: str, features: Matrix) -> Probabilities:
        parts = (features[at : at + _SLICE] for at in range(0, len(features), _SLICE))
        answers = [self._session.run([output], {INPUT: np.ascontiguousarray(part)})[0] for part in parts]
        return np.concatenate(answers).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A version of a task, with all that it claims."""

    folder: Path
    task: Task
    manifest: Manifest
    profile: Profile
    graph: ModelGraph


def open_version(models: Path, task: Task, version: int | None = None) -> PublishedModel:
    """Open a version, or the one in production, once its files are those that were published.

    Raises:
        NotFoundError: there is no such version, or none in production.
        ArtifactRefusedError: a file is not what was published, or it was made for other features.
    """
    folder = models / task.name / str(_number(models, task, version))
    manifest = read_manifest(folder, task.name, int(folder.name))
    if manifest.feature_fingerprint != task.features.fingerprint:
        raise ArtifactRefusedError(f"{folder} was made for other features ({manifest.feature_set})")
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
