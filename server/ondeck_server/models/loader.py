"""A version that may answer: opened only after everything that its manifest claims has been seen to hold."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ondeck_core.errors import ArtifactRefusedError, NoTaskError
from ondeck_core.evaluation import Evaluation
from ondeck_core.instances import Matrix
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
from ondeck_core.uncertainty import spread
from ondeck_registry.artifact_reader import claim_of, read_any_manifest, read_files, read_manifest
from ondeck_registry.golden_check import check_own_answers
from ondeck_registry.onnx_session import OnnxSession
from ondeck_server.batching.latency_model import LatencyModel, TimedRun
from ondeck_server.models.background import background_rows

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
        return answer(self.session, self.task, instances)

    def probabilities(self, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields) into probabilities of shape (n, outcomes)."""
        return self.answer(instances)[0]


def answer(session: OnnxSession, task: Task, instances: Matrix) -> tuple[Matrix, Matrix]:
    """Turn instances of shape (n, fields) into probabilities (n, outcomes) and the members' spread (n,)."""
    probabilities, members = session.run(task.features.compute(instances))
    return probabilities, spread(members, probabilities)


def of_task(loaded: LoadedGraph) -> LoadedVersion:
    """Take a version as one of a task.

    Raises:
        NoTaskError: it is a graph alone.
    """
    if isinstance(loaded, LoadedVersion):
        return loaded
    raise NoTaskError(loaded.manifest.model)


def load_any(folder: Path, model: str, version: int) -> LoadedGraph:
    """Open a version, be it of a task or a graph alone; what runs is what was verified, whatever becomes of the files.

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
    files = _files(folder, manifest, {MODEL_FILE, GOLDEN_FILE, EVALUATION_FILE})
    task = _check_task(manifest)
    session = OnnxSession(files[MODEL_FILE], manifest.inputs, manifest.outputs)
    background = _background(files, task)
    evaluation = claim_of(Evaluation, files[EVALUATION_FILE], EVALUATION_FILE)
    golden = claim_of(Golden, files[GOLDEN_FILE], GOLDEN_FILE)
    _check_golden(session, task, golden)
    instances = np.array(golden.instances, dtype=np.float32)
    return LoadedVersion(
        manifest=manifest,
        evaluation=evaluation,
        task=task,
        session=session,
        background=background,
        pace=_warm_up(lambda rows: answer(session, task, rows), instances),
        graph_pace=_warm_up(session.infer, task.features.compute(instances)),
    )


def _load_graph(folder: Path, manifest: GraphManifest) -> LoadedGraph:
    files = _files(folder, manifest, {MODEL_FILE, GOLDEN_FILE})
    session = OnnxSession(files[MODEL_FILE], manifest.inputs, manifest.outputs)
    golden = claim_of(GraphGolden, files[GOLDEN_FILE], GOLDEN_FILE)
    check_own_answers(session, golden)
    pace = _warm_up(session.infer, np.array(golden.rows, dtype=np.float32))
    return LoadedGraph(manifest=manifest, session=session, graph_pace=pace)


def _warm_up(run: Callable[[Matrix], object], rows: Matrix) -> LatencyModel:
    """Run at each usual size, twice, so that no caller pays for the first time; the second is timed."""
    return LatencyModel([_timed(run, np.resize(rows, (count, rows.shape[1]))) for count in WARM_UP_ROWS])


def _timed(run: Callable[[Matrix], object], rows: Matrix) -> TimedRun:
    run(rows)
    begin = time.perf_counter()
    run(rows)
    return TimedRun(rows=len(rows), seconds=time.perf_counter() - begin)


def _files(folder: Path, manifest: Manifest | GraphManifest, needed: set[str]) -> dict[str, bytes]:
    for name in sorted(needed - set(manifest.files)):
        raise ArtifactRefusedError(f"its manifest does not name {name}")
    return read_files(folder, manifest)


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


def _background(files: Mapping[str, bytes], task: Task) -> Matrix | None:
    if BACKGROUND_FILE not in files:
        return None
    return background_rows(claim_of(Background, files[BACKGROUND_FILE], BACKGROUND_FILE), task.features)


def _check_golden(session: OnnxSession, task: Task, golden: Golden) -> None:
    if golden.fields != task.instance.names or not golden.instances:
        raise ArtifactRefusedError(f"{GOLDEN_FILE} holds no instances of {task.instance.message}")
    try:
        instances, expected = np.array(golden.instances, dtype=np.float32), np.array(golden.probabilities)
        difference = float(np.abs(answer(session, task, instances)[0] - expected).max())
    except Exception as broken:  # whatever ONNX Runtime and numpy raise
        raise ArtifactRefusedError(f"golden rows cannot be run: {broken}") from broken
    if not difference <= golden.tolerance:
        raise ArtifactRefusedError(
            f"golden rows come out different by {difference:.1e}, at most {golden.tolerance:.0e} is taken"
        )
