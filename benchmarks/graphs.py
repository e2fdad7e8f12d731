"""The graphs alone: one row, and 128 at once, on one thread, with rotating rows."""

import time
from typing import Final

import numpy as np

from benchmarks.rows import ROOT
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE, PRODUCTION
from ondeck_core.tasks import TASKS, Task
from ondeck_registry.artifact_reader import read_manifest
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.repository import aliases
from ondeck_trainer.artifact.golden_rows import make_up_instances

ROWS: Final = 20_000
RUNS: Final = {1: 3000, 128: 200}  # by the rows of a run
COLUMNS: Final = ("graph", *(f"{size} at once: us a row" for size in RUNS), "MB")


def measure() -> tuple[str, list[tuple[str, ...]]]:
    """Time the graph of every model in production; medians."""
    return "graphs alone, on one thread", [_line(task) for task in TASKS.values()]


def _line(task: Task) -> tuple[str, ...]:
    version = aliases(ROOT / "onnx_models", task.name)[PRODUCTION]
    folder = ROOT / "onnx_models" / task.name / str(version)
    graph, manifest = folder / MODEL_FILE, read_manifest(folder, task.name, version)
    features = task.features.compute(make_up_instances(task.instance, ROWS, seed=6))
    session = OnnxSession(graph.read_bytes(), manifest.inputs, manifest.outputs)
    timed = (f"{_median(session, features, size):.1f}" for size in RUNS)
    return (task.name, *timed, f"{graph.stat().st_size / 1e6:.1f}")


def _median(session: OnnxSession, features: Matrix, size: int) -> float:
    taken = []
    for start in np.random.default_rng(2).integers(0, len(features) - size, RUNS[size]):
        rows = np.ascontiguousarray(features[start : start + size])
        begin = time.perf_counter()
        session.run(rows)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken)) * 1e6 / size
