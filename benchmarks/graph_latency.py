"""The ONNX graphs without a server, on one thread: latency a row, and the throughput that serving is compared with."""

import time
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from benchmarks.production_lookup import MODELS, production_folder, production_version
from benchmarks.workload_sizes import Scale
from ondeck_core.instances import Matrix
from ondeck_core.manifest import INPUT, MODEL_FILE, OUTPUT
from ondeck_core.tasks import TASKS, Task
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.repository import read_manifest
from ondeck_trainer.artifact.parity import draw_instances

ROWS: Final = 20_000
WARM_UP_RUNS: Final = 50
COLUMNS: Final = ("graph", "1 row a run: us a row", "128 rows a run: us a row", "MB")


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Time the graph of every model in production, with rotating rows; returns a title and the medians."""
    return "graphs alone, on one thread", [_line(task, scale) for task in TASKS.values()]


def rows_per_second(graph: Path, features: Matrix, batch: int, seconds: float) -> float:
    """Run `batch` rows at a time through a bare ONNX Runtime session on one thread; returns rows a second."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    batches = [np.ascontiguousarray(features[at : at + batch]) for at in range(0, len(features) - batch + 1, batch)]
    for rows in batches[:WARM_UP_RUNS]:
        session.run([OUTPUT], {INPUT: rows})
    runs, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        session.run([OUTPUT], {INPUT: batches[runs % len(batches)]})
        runs += 1
    return runs * batch / (time.perf_counter() - begin)


def _line(task: Task, scale: Scale) -> tuple[str, ...]:
    folder, version = production_folder(MODELS, task.name), production_version(MODELS, task.name)
    graph, manifest = folder / MODEL_FILE, read_manifest(folder, task.name, version)
    features = task.features.compute(draw_instances(task.instance, ROWS, seed=6))
    session = OnnxSession(graph.read_bytes(), manifest.inputs, manifest.outputs)
    timed = (f"{_median_us(session, features, size, runs):.1f}" for size, runs in scale.graph_runs.items())
    return (task.name, *timed, f"{graph.stat().st_size / 1e6:.1f}")


def _median_us(session: OnnxSession, features: Matrix, size: int, runs: int) -> float:
    seconds = []
    for start in np.random.default_rng(2).integers(0, len(features) - size, runs):
        rows = np.ascontiguousarray(features[start : start + size])
        begin = time.perf_counter()
        session.run(rows)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds)) * 1e6 / size
