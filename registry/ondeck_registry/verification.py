"""Verification of a version: everything that its manifest states is checked before the version is used.

An imported graph has no evaluation and no reference predictions: its golden rows hold what it returned when it was
imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.derived_stats import ensemble_spread
from ondeck_core.errors import ArtifactRefusedError, OndeckError, printable, without_folders
from ondeck_core.evaluation import Evaluation
from ondeck_core.explain.field_groups import mask_unknown_codes, order_by_similarity
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
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.repository import parse_evaluation, parse_json, read_any_manifest, read_files

_GOLDEN_ROWS: Final = 64
_GOLDEN_SEED: Final = 7
_GOLDEN_TOLERANCE: Final = 1e-5  # relative above 1, absolute below; other machines sum in another order


class VerificationFailedError(OndeckError):
    """A version differs from its manifest, so no alias may point to it."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} {version} failed verification: {reason}")


@dataclass(frozen=True, kw_only=True, eq=False)
class VerifiedGraph:
    """A verified imported graph: manifest, graph, session and the golden rows, features of shape (rows, width)."""

    manifest: Manifest | GraphManifest
    graph: bytes
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
        VerificationFailedError: the version differs from its manifest; the text names the difference.
    """
    try:
        verify(models / model / str(version), model, version)
    except ArtifactRefusedError as refused:
        raise VerificationFailedError(model, version, printable(str(refused))) from refused


def verify(folder: Path, model: str, version: int) -> VerifiedGraph | VerifiedVersion:
    """Check manifest, SHA-256 of all files, tensors, features and golden rows; return what was read, with the session.

    Raises:
        ArtifactRefusedError: the version differs from its manifest; the text names the difference.
    """
    return verify_manifest(folder, read_any_manifest(folder, model, version))


def verify_manifest(
    folder: Path, manifest: Manifest | GraphManifest, optimized: bytes | None = None
) -> VerifiedGraph | VerifiedVersion:
    """Verify a version whose manifest has been read; errors as `verify`.

    With an `optimized` graph that one must compute the golden rows, and runs in the session.
    """
    if isinstance(manifest, GraphManifest):
        return _verify_graph(folder, manifest, optimized)
    return _verify_version(folder, manifest, optimized)


def predict(session: OnnxSession, task: Task, instances: Matrix) -> tuple[Matrix, Matrix]:
    """Compute probabilities (n, outcomes) and the ensemble spread (n,) of instances of shape (n, fields)."""
    probabilities, members = session.run(task.features.compute(instances))
    return probabilities, ensemble_spread(members, probabilities)


def order_background(rows: Matrix, features: FeatureSet) -> Matrix:
    """Write unknown codes as NaN, and sort rows so that neighbours have similar features."""
    known = mask_unknown_codes(features.instance, rows)
    return order_by_similarity(known, features.compute(known))


def _verify_graph(folder: Path, manifest: GraphManifest, optimized: bytes | None) -> VerifiedGraph:
    files = _read_required(folder, manifest, {MODEL_FILE, GOLDEN_FILE})
    graph = optimized or files[MODEL_FILE]
    session = OnnxSession(graph, manifest.inputs, manifest.outputs)
    golden = parse_json(GraphGolden, files[GOLDEN_FILE], GOLDEN_FILE)
    check_graph_golden(session, golden)
    rows = np.array(golden.rows, dtype=np.float32)
    return VerifiedGraph(manifest=manifest, graph=graph, session=session, golden_features=rows)


def _verify_version(folder: Path, manifest: Manifest, optimized: bytes | None) -> VerifiedVersion:
    files = _read_required(folder, manifest, {MODEL_FILE, GOLDEN_FILE, EVALUATION_FILE})
    task = _check_task(manifest)
    graph = optimized or files[MODEL_FILE]
    session = OnnxSession(graph, manifest.inputs, manifest.outputs)
    background = _background(files, task)
    evaluation = parse_evaluation(files[EVALUATION_FILE])
    golden = parse_json(Golden, files[GOLDEN_FILE], GOLDEN_FILE)
    _check_golden(session, task, golden)
    instances = np.array(golden.instances, dtype=np.float32)
    return VerifiedVersion(
        manifest=manifest,
        graph=graph,
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
        raise ArtifactRefusedError(f"unknown task {manifest.task!r}")
    stated = (manifest.feature_set, manifest.feature_fingerprint, manifest.feature_names, manifest.outcomes)
    known = (task.features.name, task.features.fingerprint, task.features.names, task.outcomes)
    for what, of_version, of_server in zip(("set", "fingerprint", "names", "outcomes"), stated, known, strict=True):
        if of_version != of_server:
            raise ArtifactRefusedError(f"made for other features ({what}): {of_version}, here {of_server}")
    return task


def _background(files: Mapping[str, bytes], task: Task) -> Matrix | None:
    if BACKGROUND_FILE not in files:
        return None
    background, instance = parse_json(Background, files[BACKGROUND_FILE], BACKGROUND_FILE), task.instance
    if background.fields != instance.names or {len(row) for row in background.instances} != {len(background.fields)}:
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} contains no instances of {instance.message}")
    rows = np.array(background.instances, dtype=np.float32)
    if not valid_mask(instance, rows).all():
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} contains an instance that is invalid in a request")
    return order_background(rows, task.features)


def _check_golden(session: OnnxSession, task: Task, golden: Golden) -> None:
    if golden.fields != task.instance.names or not golden.instances:
        raise ArtifactRefusedError(f"{GOLDEN_FILE} contains no instances of {task.instance.message}")
    try:
        instances, expected = np.array(golden.instances, dtype=np.float32), np.array(golden.probabilities)
        actual = predict(session, task, instances)[0]
        difference = float(np.abs(actual - expected).max())
    except Exception as broken:  # ONNX Runtime and numpy document no error types
        raise ArtifactRefusedError(f"golden rows cannot be run: {without_folders(str(broken))}") from broken
    if actual.shape != expected.shape:
        raise ArtifactRefusedError(f"golden rows have shape {list(expected.shape)}, the graph {list(actual.shape)}")
    if not difference <= golden.tolerance:
        raise ArtifactRefusedError(f"golden rows differ by {difference:.1e}, at most {golden.tolerance:.0e} is allowed")


def make_graph_golden(session: OnnxSession) -> GraphGolden:
    """Make the golden rows of an imported graph: rows of the standard normal distribution, and its outputs for them."""
    rows = np.random.default_rng(_GOLDEN_SEED).standard_normal((_GOLDEN_ROWS, session.width)).astype(np.float32)
    return GraphGolden(
        tolerance=_GOLDEN_TOLERANCE,
        rows=tuple(tuple(map(float, row)) for row in rows),
        outputs={
            tensor.name: tuple(tuple(map(_finite, row)) for row in _flat(output).tolist())
            for tensor, output in zip(session.outputs, session.infer(rows), strict=True)
        },
    )


def check_graph_golden(session: OnnxSession, golden: GraphGolden) -> None:
    """Check that an imported graph reproduces its golden outputs, for all rows at once and for one at a time.

    Raises:
        ArtifactRefusedError: an output differs, or the graph cannot be run.
    """
    expected = {name: np.array(rows, dtype=np.float64) for name, rows in golden.outputs.items()}
    if set(expected) != {tensor.name for tensor in session.outputs} or not golden.rows:
        raise ArtifactRefusedError(f"{GOLDEN_FILE} contains no outputs of this graph")
    try:
        rows: Matrix = np.array(golden.rows, dtype=np.float32)
        together = session.infer(rows)
        alone = [np.concatenate(each) for each in zip(*(session.infer(row[np.newaxis]) for row in rows), strict=True)]
    except Exception as broken:  # ONNX Runtime and numpy document no error types
        raise ArtifactRefusedError(f"golden rows cannot be run: {without_folders(str(broken))}") from broken
    for mode, outputs in (("", together), (" one at a time", alone)):
        _compare_outputs(session, outputs, expected, golden.tolerance, mode)


def _compare_outputs(
    session: OnnxSession,
    outputs: list[NDArray[Any]],
    expected: Mapping[str, NDArray[np.float64]],
    tolerance: float,
    mode: str,
) -> None:
    for tensor, output in zip(session.outputs, outputs, strict=True):
        if output.shape[1:] != tensor.shape[1:]:
            raise ArtifactRefusedError(f"{tensor.name} has shape {list(output.shape)}, not {list(tensor.shape)}")
        actual, reference = _flat(output).astype(np.float64), expected[tensor.name]
        actual[~np.isfinite(actual)] = np.nan
        if actual.shape != reference.shape or not np.allclose(actual, reference, tolerance, tolerance, equal_nan=True):
            raise ArtifactRefusedError(f"golden rows differ{mode}: {tensor.name} is not as it was")


def _flat(output: NDArray[Any]) -> NDArray[Any]:
    return output.reshape(len(output), -1)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
