"""Run time of optimized graphs as a share of that of the shipped ones: interleaved runs of rotating rows, one thread.

    python -m benchmarks.graph_rewrites [GRAPH.onnx OUTPUT]

Without arguments the shipped models; else an imported graph, of which OUTPUT is served.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from benchmarks.input_rows import sample
from benchmarks.production_lookup import MODELS, production_folder, production_version
from benchmarks.terminal_tables import environment, table
from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.repository import read_any_manifest
from ondeck_registry.verification import verify_manifest
from ondeck_registry.version_optimizer import optimize_version

SIZES: Final = (1, 32, 128, 1024)
ROWS: Final = 8192
ROUNDS: Final = 31
ROWS_A_ROUND: Final = 256
IMPORTED: Final = "imported"
COLUMNS: Final = ("graph", "rewrites", *(f"rows a run: {size}" for size in SIZES))


def main() -> None:
    """Measure and print a table."""
    console = Console(width=160)
    console.print(f"{environment()}; optimized in shares of shipped, medians of {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        lines = [_line(name, where, rows) for name, where, rows in _graphs(Path(folder), sys.argv[1:])]
    console.print(table("optimized graphs", COLUMNS, lines))


def _graphs(folder: Path, words: list[str]) -> Iterator[tuple[str, Path, Matrix]]:
    """Yield name, folder and feature rows of each version to measure."""
    if words:
        graph, output = words
        published = publish_graph(folder, IMPORTED, Path(graph).read_bytes(), [output])
        width = published.inputs[0].shape[-1]
        yield IMPORTED, folder / IMPORTED / "1", np.random.default_rng(1).normal(0, 2, (ROWS, width)).astype(np.float32)
        return
    for task in TASKS.values():
        rows = task.features.compute(sample(task, ROWS).instances)
        yield task.name, production_folder(MODELS, task.name), rows


def _line(name: str, folder: Path, rows: Matrix) -> tuple[str, ...]:
    version = 1 if name == IMPORTED else production_version(MODELS, name)
    manifest = read_any_manifest(folder, name, version)
    optimization = optimize_version(folder, manifest)
    shipped, optimized = (verify_manifest(folder, manifest, graph).session for graph in (None, optimization.graph))
    shares = (f"{_share(shipped, optimized, rows, size):.2f}" for size in SIZES)
    return (name, ", ".join(optimization.rewrites) or "none", *shares)


def _share(shipped: OnnxSession, optimized: OnnxSession, rows: Matrix, size: int) -> float:
    """Return the median over rounds of the time of `optimized` divided by that of `shipped`."""
    random = np.random.default_rng(2)
    shares = []
    for number in range(ROUNDS):
        starts = random.integers(0, len(rows) - size, max(2, ROWS_A_ROUND // size))
        batches = [np.ascontiguousarray(rows[start : start + size]) for start in starts]
        order = (shipped, optimized) if number % 2 else (optimized, shipped)
        seconds = {session: _seconds(session, batches) for session in order}
        shares.append(seconds[optimized] / seconds[shipped])
    return float(np.median(shares))


def _seconds(session: OnnxSession, batches: list[Matrix]) -> float:
    begin = time.perf_counter()
    for batch in batches:
        session.infer(batch)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
