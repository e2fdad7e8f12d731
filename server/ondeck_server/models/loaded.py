"""A version that may answer: opened only after everything that its manifest claims has been seen to hold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ondeck_core.certainty import spread
from ondeck_core.errors import ArtifactRefusedError, NoTaskError
from ondeck_core.instances import Matrix
from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import (
    BACKGROUND_FILE,
    EVALUATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    Background,
    Golden,
    GraphGolden,
    GraphManifest,
    Manifest,
)
from ondeck_core.tasks import TASKS, Task
from ondeck_server.models.background import background_rows
from ondeck_server.models.own_answers import check_own_answers
from ondeck_server.models.session import Session
from ondeck_store.artifacts.claims import read_any_manifest, read_claim, read_evaluation, read_files, read_manifest


@dataclass(frozen=True, kw_only=True)
class LoadedGraph:
    """A verified, warm version; whoever knows no more of it can ask it tensors."""

    manifest: Manifest | GraphManifest
    session: Session


@dataclass(frozen=True, kw_only=True)
class LoadedVersion(LoadedGraph):
    """One of a task of ours; without a background, shape (rows, fields), it answers and cannot explain."""

    manifest: Manifest
    evaluation: Evaluation
    task: Task
    background: Matrix | None = None

    def answer(self, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields) into probabilities and, in a last column, the spread of the members."""
        probabilities, members = self.session.run(self.task.features.compute(instances))
        return np.column_stack([probabilities, spread(members, probabilities)])

    def probabilities(self, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields) into probabilities of shape (n, outcomes)."""
        return self.answer(instances)[:, :-1]


def of_task(loaded: LoadedGraph) -> LoadedVersion:
    """Take a version as one of a task.

    Raises:
        NoTaskError: it is a graph alone.
    """
    if isinstance(loaded, LoadedVersion):
        return loaded
    raise NoTaskError(loaded.manifest.model)


def load_any(folder: Path, model: str, version: int) -> LoadedGraph:
    """Open a version, be it of a task or a graph alone.

    Raises:
        ArtifactRefusedError: something is not as the manifest claims; the text says what.
    """
    manifest = read_any_manifest(folder, model, version)
    return _load_graph(folder, manifest) if isinstance(manifest, GraphManifest) else load(folder, model, version)


def load(folder: Path, model: str, version: int) -> LoadedVersion:
    """Open a version of a task.

    Raises:
        ArtifactRefusedError: something is not as the manifest claims; the text says what.
    """
    manifest = read_manifest(folder, model, version)
    _check_files(folder, manifest, {MODEL_FILE, GOLDEN_FILE, EVALUATION_FILE})
    task = _check_task(manifest)
    evaluation = read_evaluation(folder)
    session = Session(folder / MODEL_FILE, manifest.inputs, manifest.outputs)
    background = _background(folder, manifest, task)
    loaded = LoadedVersion(manifest=manifest, evaluation=evaluation, task=task, session=session, background=background)
    _check_golden(loaded, read_claim(Golden, folder / GOLDEN_FILE))
    session.warm_up()
    return loaded


def _load_graph(folder: Path, manifest: GraphManifest) -> LoadedGraph:
    _check_files(folder, manifest, {MODEL_FILE, GOLDEN_FILE})
    session = Session(folder / MODEL_FILE, manifest.inputs, manifest.outputs)
    check_own_answers(session, read_claim(GraphGolden, folder / GOLDEN_FILE))
    session.warm_up()
    return LoadedGraph(manifest=manifest, session=session)


def _check_files(folder: Path, manifest: Manifest | GraphManifest, needed: set[str]) -> None:
    for name in needed - set(manifest.files):
        raise ArtifactRefusedError(f"its manifest does not name {name}")
    read_files(folder, manifest)


def _check_task(manifest: Manifest) -> Task:
    task = TASKS.get(manifest.task)
    if task is None:
        raise ArtifactRefusedError(f"this server knows no task {manifest.task!r}")
    claimed = (manifest.feature_set, manifest.feature_fingerprint, manifest.feature_names, manifest.outcomes)
    known = (task.features.name, task.features.fingerprint, task.features.names, task.outcomes)
    for what, theirs, ours in zip(("set", "fingerprint", "names", "outcomes"), claimed, known, strict=True):
        if theirs != ours:
            raise ArtifactRefusedError(f"made for other features ({what}): {theirs}, here {ours}")
    return task


def _background(folder: Path, manifest: Manifest, task: Task) -> Matrix | None:
    if BACKGROUND_FILE not in manifest.files:
        return None
    return background_rows(read_claim(Background, folder / BACKGROUND_FILE), task.features)


def _check_golden(loaded: LoadedVersion, golden: Golden) -> None:
    if golden.fields != loaded.task.instance.names or not golden.instances:
        raise ArtifactRefusedError(f"{GOLDEN_FILE} holds no instances of {loaded.task.instance.message}")
    try:
        instances, expected = np.array(golden.instances, dtype=np.float32), np.array(golden.probabilities)
        difference = float(np.abs(loaded.probabilities(instances) - expected).max())
    except Exception as broken:  # whatever ONNX Runtime and numpy raise
        raise ArtifactRefusedError(f"golden rows cannot be run: {broken}") from broken
    if not difference <= golden.tolerance:
        raise ArtifactRefusedError(
            f"golden rows come out different by {difference:.1e}, at most {golden.tolerance:.0e} is taken"
        )
