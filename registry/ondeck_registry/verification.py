"""Verification of a version: everything that its manifest states is checked before the version is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ondeck_core.derived_stats import spread
from ondeck_core.errors import ArtifactRefusedError, OndeckError
from ondeck_core.evaluation import Evaluation
from ondeck_core.explain.field_groups import alike_side_by_side, settled
from ondeck_core.features.feature_set import FeatureSet
from ondeck_core.instances import Matrix, valid_mask
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
from ondeck_registry.artifact_reader import claim_of, read_any_manifest, read_files
from ondeck_registry.golden_check import check_own_answers
from ondeck_registry.onnx_session import OnnxSession


class VerificationFailedError(OndeckError):
    """A version is not what its manifest states, so no alias may point to it."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} {version} failed verification: {reason}; publish it again")


@dataclass(frozen=True, kw_only=True, eq=False)
class VerifiedGraph:
    """A verified imported graph: manifest, open session and the golden rows, features of shape (rows, width)."""

    manifest: Manifest | GraphManifest
    session: OnnxSession
    golden_features: Matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class VerifiedVersion(VerifiedGraph):
    """A verified version of a task; `golden_instances` and `background` have shape (rows, fields)."""

    manifest: Manifest
    evaluation: Evaluation
    task: Task
    golden_instances: Matrix
    background: Matrix | None = None


def require_verified(models: Path, model: str, version: int) -> None:
    """Verify a version, of a task or an imported graph, before an alias points to it.

    Raises:
        VerificationFailedError: it is not what its manifest states; the text says what differs.
    """
    try:
        verify(models / model / str(version), model, version)
    except ArtifactRefusedError as refused:
        raise VerificationFailedError(model, version, str(refused)) from refused


def verify(folder: Path, model: str, version: int) -> VerifiedGraph | VerifiedVersion:
    """Check manifest, SHA-256 of all files, tensors, features and golden rows; return the session that was checked.

    Raises:
        ArtifactRefusedError: something is not as the manifest states; the text says what.
    """
    return verify_manifest(folder, read_any_manifest(folder, model, version))


def verify_manifest(folder: Path, manifest: Manifest | GraphManifest) -> VerifiedGraph | VerifiedVersion:
    """Verify a version whose manifest has been read; errors as `verify`."""
    if isinstance(manifest, GraphManifest):
        return _verify_graph(folder, manifest)
    return _verify_version(folder, manifest)


def predict(session: OnnxSession, task: Task, instances: Matrix) -> tuple[Matrix, Matrix]:
    """Compute probabilities (n, outcomes) and the ensemble spread (n,) of instances of shape (n, fields)."""
    probabilities, members = session.run(task.features.compute(instances))
    return probabilities, spread(members, probabilities)


def order_background(rows: Matrix, features: FeatureSet) -> Matrix:
    """Write unknown codes as NaN and put rows next to each other that are alike for the model."""
    known = settled(features.instance, rows)
    return alike_side_by_side(known, features.compute(known))


def _verify_graph(folder: Path, manifest: GraphManifest) -> VerifiedGraph:
    files = _read_required(folder, manifest, {MODEL_FILE, GOLDEN_FILE})
    session = OnnxSession(files[MODEL_FILE], manifest.inputs, manifest.outputs)
    golden = claim_of(GraphGolden, files[GOLDEN_FILE], GOLDEN_FILE)
    check_own_answers(session, golden)
    return VerifiedGraph(manifest=manifest, session=session, golden_features=np.array(golden.rows, dtype=np.float32))


def _verify_version(folder: Path, manifest: Manifest) -> VerifiedVersion:
    files = _read_required(folder, manifest, {MODEL_FILE, GOLDEN_FILE, EVALUATION_FILE})
    task = _check_task(manifest)
    session = OnnxSession(files[MODEL_FILE], manifest.inputs, manifest.outputs)
    background = _background(files, task)
    evaluation = claim_of(Evaluation, files[EVALUATION_FILE], EVALUATION_FILE)
    golden = claim_of(Golden, files[GOLDEN_FILE], GOLDEN_FILE)
    _check_golden(session, task, golden)
    instances = np.array(golden.instances, dtype=np.float32)
    return VerifiedVersion(
        manifest=manifest,
        session=session,
        golden_features=task.features.compute(instances),
        golden_instances=instances,
        evaluation=evaluation,
        task=task,
        background=background,
    )


def _read_required(folder: Path, manifest: Manifest | GraphManifest, required: set[str]) -> dict[str, bytes]:
    for name in sorted(required - set(manifest.files)):
        raise ArtifactRefusedError(f"its manifest does not name {name}")
    return read_files(folder, manifest)


def _check_task(manifest: Manifest) -> Task:
    task = TASKS.get(manifest.task)
    if task is None:
        raise ArtifactRefusedError(f"this server knows no task {manifest.task!r}")
    stated = (manifest.feature_set, manifest.feature_fingerprint, manifest.feature_names, manifest.outcomes)
    known = (task.features.name, task.features.fingerprint, task.features.names, task.outcomes)
    for what, theirs, ours in zip(("set", "fingerprint", "names", "outcomes"), stated, known, strict=True):
        if theirs != ours:
            raise ArtifactRefusedError(f"made for other features ({what}): {theirs}, here {ours}")
    return task


def _background(files: Mapping[str, bytes], task: Task) -> Matrix | None:
    if BACKGROUND_FILE not in files:
        return None
    background, instance = claim_of(Background, files[BACKGROUND_FILE], BACKGROUND_FILE), task.instance
    if background.fields != instance.names or {len(row) for row in background.instances} != {len(background.fields)}:
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} holds no instances of {instance.message}")
    rows = np.array(background.instances, dtype=np.float32)
    if not valid_mask(instance, rows).all():
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} holds an instance that is not valid in a request")
    return order_background(rows, task.features)


def _check_golden(session: OnnxSession, task: Task, golden: Golden) -> None:
    if golden.fields != task.instance.names or not golden.instances:
        raise ArtifactRefusedError(f"{GOLDEN_FILE} holds no instances of {task.instance.message}")
    try:
        instances, expected = np.array(golden.instances, dtype=np.float32), np.array(golden.probabilities)
        difference = float(np.abs(predict(session, task, instances)[0] - expected).max())
    except Exception as broken:  # whatever ONNX Runtime and numpy raise
        raise ArtifactRefusedError(f"golden rows cannot be run: {broken}") from broken
    if not difference <= golden.tolerance:
        raise ArtifactRefusedError(
            f"golden rows come out different by {difference:.1e}, at most {golden.tolerance:.0e} is allowed"
        )
