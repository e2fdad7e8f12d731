"""Loading of a version: verify it, then run it at the usual batch sizes so that its latency is known."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ondeck_core.errors import ArtifactRefusedError, NoTaskError
from ondeck_core.evaluation import Evaluation
from ondeck_core.instances import Matrix
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_core.tasks import Task
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.repository import read_any_manifest
from ondeck_registry.verification import VerifiedVersion, predict, verify_manifest
from ondeck_server.batching.latency_model import LatencyModel, TimedRun

WARM_UP_ROWS: Final = (1, 8, 64, 256)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedGraph:
    """A verified and warmed-up version that maps input tensors to output tensors.

    `graph_latency` is the warm-up latency from features to output tensors.
    """

    manifest: Manifest | GraphManifest
    session: OnnxSession
    graph_latency: LatencyModel = field(default_factory=LatencyModel)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedVersion(LoadedGraph):
    """A loaded version of a task; without a background, of shape (rows, fields), it cannot explain.

    `latency` is the warm-up latency from instances to probabilities.
    """

    manifest: Manifest
    evaluation: Evaluation
    task: Task
    background: Matrix | None = None
    latency: LatencyModel = field(default_factory=LatencyModel)

    def predict(self, instances: Matrix) -> tuple[Matrix, Matrix]:
        """Compute probabilities (n, outcomes) and the ensemble spread (n,) of instances of shape (n, fields)."""
        return predict(self.session, self.task, instances)

    def predict_proba(self, instances: Matrix) -> Matrix:
        """Compute probabilities of shape (n, outcomes) of instances of shape (n, fields)."""
        return self.predict(instances)[0]


def of_task(loaded: LoadedGraph) -> LoadedVersion:
    """Return the version as one of a task.

    Raises:
        NoTaskError: it is an imported graph.
    """
    if isinstance(loaded, LoadedVersion):
        return loaded
    raise NoTaskError(loaded.manifest.model)


def load_any(folder: Path, model: str, version: int) -> LoadedGraph:
    """Read the manifest of a version of a task or an imported graph, and load it; errors as `load_manifest`."""
    return load_manifest(folder, read_any_manifest(folder, model, version))


def load_manifest(folder: Path, manifest: Manifest | GraphManifest) -> LoadedGraph:
    """Load the version that a manifest describes; the session that runs is the one that was verified.

    Raises:
        ArtifactRefusedError: something is not as the manifest states; the text says what.
    """
    verified = verify_manifest(folder, manifest)
    graph_latency = _warm_up(verified.session.infer, verified.golden_features)
    if not isinstance(verified, VerifiedVersion):
        return LoadedGraph(manifest=verified.manifest, session=verified.session, graph_latency=graph_latency)
    session, task = verified.session, verified.task
    return LoadedVersion(
        manifest=verified.manifest,
        evaluation=verified.evaluation,
        task=task,
        session=session,
        background=verified.background,
        latency=_warm_up(lambda rows: predict(session, task, rows), verified.golden_instances),
        graph_latency=graph_latency,
    )


def load(folder: Path, model: str, version: int) -> LoadedVersion:
    """Load a version of a task.

    Raises:
        ArtifactRefusedError: something is not as the manifest states, or it is an imported graph.
    """
    loaded = load_any(folder, model, version)
    if isinstance(loaded, LoadedVersion):
        return loaded
    raise ArtifactRefusedError("it is a graph without a task, served through the Open Inference Protocol alone")


def _warm_up(run: Callable[[Matrix], object], rows: Matrix) -> LatencyModel:
    """Run twice at each usual size, so that no request pays for the first run; the second is timed."""
    return LatencyModel([_timed(run, np.resize(rows, (count, rows.shape[1]))) for count in WARM_UP_ROWS])


def _timed(run: Callable[[Matrix], object], rows: Matrix) -> TimedRun:
    run(rows)
    begin = time.perf_counter()
    run(rows)
    return TimedRun(rows=len(rows), seconds=time.perf_counter() - begin)
