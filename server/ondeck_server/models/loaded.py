"""A version that may answer: opened only after everything that its manifest claims has been seen to hold."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from ondeck_core.certainty import spread
from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.instances import Matrix
from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import (
    BACKGROUND_FILE,
    EVALUATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    Background,
    Golden,
    Manifest,
)
from ondeck_core.tasks import TASKS, Task
from ondeck_server.batching.pace import Pace, Timed
from ondeck_server.models.background import background_rows
from ondeck_server.models.session import Session
from ondeck_store.artifacts.claims import claim_of, read_files, read_manifest

WARM_UP_ROWS: Final = (1, 8, 64, 256)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedVersion:
    """A verified, warm version; one without a background, shape (rows, fields), answers and cannot explain.

    `pace` is how long rows took at warm-up, from the instance to the answer.
    """

    manifest: Manifest
    evaluation: Evaluation
    task: Task
    session: Session
    background: Matrix | None = None
    pace: Pace = field(default_factory=Pace)

    def answer(self, instances: Matrix) -> tuple[Matrix, Matrix]:
        """Turn instances of shape (n, fields) into probabilities (n, outcomes) and the members' spread (n,)."""
        probabilities, members = self.session.run(self.task.features.compute(instances))
        return probabilities, spread(members, probabilities)

    def probabilities(self, instances: Matrix) -> Matrix:
        """Turn instances of shape (n, fields) into probabilities of shape (n, outcomes)."""
        return self.answer(instances)[0]


def load(folder: Path, model: str, version: int) -> LoadedVersion:
    """Open a version; what is run is what was verified, whatever happens to the files meanwhile.

    Raises:
        ArtifactRefusedError: something is not as the manifest claims; the text says what.
    """
    manifest = read_manifest(folder, model, version)
    files = _files(folder, manifest)
    task = _check_task(manifest)
    loaded = LoadedVersion(
        manifest=manifest,
        evaluation=claim_of(Evaluation, files[EVALUATION_FILE], EVALUATION_FILE),
        task=task,
        session=Session(files[MODEL_FILE], len(manifest.feature_names), len(manifest.outcomes)),
        background=_background(files, task),
    )
    golden = claim_of(Golden, files[GOLDEN_FILE], GOLDEN_FILE)
    _check_golden(loaded, golden)
    return replace(loaded, pace=_warm_up(loaded, np.array(golden.instances, dtype=np.float32)))


def _warm_up(loaded: LoadedVersion, instances: Matrix) -> Pace:
    """Run at each usual size, twice, so that no caller pays for the first time; the second is timed."""
    return Pace([_timed(loaded, np.resize(instances, (rows, instances.shape[1]))) for rows in WARM_UP_ROWS])


def _timed(loaded: LoadedVersion, instances: Matrix) -> Timed:
    loaded.answer(instances)
    begin = time.perf_counter()
    loaded.answer(instances)
    return Timed(rows=len(instances), seconds=time.perf_counter() - begin)


def _files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    for name in {MODEL_FILE, GOLDEN_FILE, EVALUATION_FILE} - set(manifest.files):
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
