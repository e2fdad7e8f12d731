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
from ondeck_registry.verification import VerifiedVersion, predict, verify
from ondeck_server.batching.latency_model import LatencyModel, TimedRun

WARM_UP_ROWS: Final = (1, 8, 64, 256)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedGraph:
    """A verified, warm version; whoever knows no more of it can ask it tensors.

    `graph_pace` is how long rows took at warm-up, from features to tensors.
    """

    manifest: Manifest | GraphManifest
    session: OnnxSession
    graph_pace: LatencyModel = field(default_factory=LatencyModel)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedVersion(LoadedGraph):
    """One of a task of ours; without a background, shape (rows, fields), it answers and cannot explain.

    `pace` is how long rows took at warm-up, from the instance to the answer.
    """

    manifest: Manifest
    evaluation: Evaluation
    task: Task
    background: Matrix | None = None
    pace: LatencyModel = field(default_factory=LatencyModel)

    def answer(self, instances: Matrix) -> tuple[Matrix, Matrix]:
        """Turn instances of shape (n, fields) into probabilities (n, outcomes) and the members' spread (n,)."""
        return predict(self.session, self.task, instances)

    def probabilities(self, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields) into probabilities of shape (n, outcomes)."""
        return self.answer(instances)[0]


def of_task(loaded: LoadedGraph) -> LoadedVersion:
    """Take a version as one of a task.

    Raises:
        NoTaskError: it is a graph alone.
    """
    if isinstance(loaded, LoadedVersion):
        return loaded
    raise NoTaskError(loaded.manifest.model)


def load_any(folder: Path, model: str, version: int) -> LoadedGraph:
    """Open a version of a task or an imported graph; the session that runs is the one that was verified.

    Raises:
        ArtifactRefusedError: something is not as the manifest states; the text says what.
    """
    verified = verify(folder, model, version)
    graph_pace = _warm_up(verified.session.infer, verified.golden_features)
    if not isinstance(verified, VerifiedVersion):
        return LoadedGraph(manifest=verified.manifest, session=verified.session, graph_pace=graph_pace)
    session, task = verified.session, verified.task
    return LoadedVersion(
        manifest=verified.manifest,
        evaluation=verified.evaluation,
        task=task,
        session=session,
        background=verified.background,
        pace=_warm_up(lambda rows: predict(session, task, rows), verified.golden_instances),
        graph_pace=graph_pace,
    )


def load(folder: Path, model: str, version: int) -> LoadedVersion:
    """Open a version of a task.

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
