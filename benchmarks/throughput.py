"""The running server beside bare ONNX Runtime: throughput and latency of unary, batch and stream calls."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message

from benchmarks import messages
from benchmarks.graph_latency import rows_per_second
from benchmarks.input_rows import sample
from benchmarks.production_lookup import MODELS, ROOT, production_folder
from benchmarks.workload_sizes import Scale
from ondeck_cli.up.stack import parse_ready
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE
from ondeck_core.tasks import TASKS, Task

START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A kind of call, how many calls (of a stream: instances) are in flight, and the rows of each call."""

    name: str
    kind: str
    in_flight: int
    rows: int = 1


MODES = (
    Mode(name="unary, 1 in flight", kind="unary", in_flight=1),
    Mode(name="unary, 32 in flight", kind="unary", in_flight=32),
    Mode(name="batch of 32, 8 in flight", kind="batch", in_flight=8, rows=32),
    Mode(name="batch of 1024, 2 in flight", kind="batch", in_flight=2, rows=1024),
    Mode(name="4 streams, 8 in flight each", kind="stream", in_flight=32),
)


@dataclass(kw_only=True)
class ModeResult:
    """Measurements of one mode, a value for each round."""

    mode: Mode
    served: list[dict[str, float]] = field(default_factory=list)
    bare_rows_per_second: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """Return the medians over the rounds, as the cells of a table row."""
        rate, p50, p99 = (
            statistics.median(r[key] for r in self.served) for key in ("calls_per_second", "p50_ms", "p99_ms")
        )
        rows = rate * self.mode.rows
        bare = statistics.median(self.bare_rows_per_second)
        return (
            self.mode.name,
            f"{rate:,.0f}",
            f"{rows:,.0f}",
            f"{p50:.2f}",
            f"{p99:.2f}",
            f"{bare:,.0f}",
            f"{rows / bare:.3f}",
        )


COLUMNS = ("", "calls/s", "rows/s", "p50 ms", "p99 ms", "bare ONNX Runtime rows/s", "of bare")


def measure(task_name: str, scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure every mode on one task, rounds interleaved; returns a title and the rows of the table."""
    task = TASKS[task_name]
    rows = sample(task, scale.rows, prefer_real=scale.uses_real_rows)
    graph = production_folder(MODELS, task.name) / MODEL_FILE
    results = [ModeResult(mode=mode) for mode in MODES]
    with tempfile.TemporaryDirectory() as folder, running_server(MODELS) as target:
        files = _write_requests(task, rows.instances, Path(folder))
        features = task.features.compute(rows.instances)
        for _ in range(scale.rounds):
            for result in results:
                mode, seconds = result.mode, scale.seconds
                result.bare_rows_per_second.append(rows_per_second(graph, features, mode.rows, seconds / 3))
                result.served.append(_generate_load(target, mode, files[mode], seconds))
    return f"{task.name}: {rows.origin}", [result.cells() for result in results]


@contextmanager
def running_server(models: Path, *options: str) -> Iterator[str]:
    """Run `ondeck serve` with these options for the block; yields its address."""
    command = [sys.executable, "-m", "ondeck_cli", "serve", "--model-repository", str(models), *options]
    command += ["--port", "0", "--admin-port", "0", "--ready-format", "json"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield _read_address(process)
        finally:
            process.terminate()


def _read_address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None  # noqa: S101  opened as a pipe
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    ready = parse_ready(line)
    if ready is None or ready.not_ready:
        sys.exit(f"the server does not serve every model: {line}")
    return ready.address


def _write_requests(task: Task, instances: Matrix, folder: Path) -> dict[Mode, Path]:
    files = {mode: folder / str(number) for number, mode in enumerate(MODES)}
    for mode, path in files.items():
        messages.write(_requests(task, instances, mode), path)
    return files


def _requests(task: Task, instances: Matrix, mode: Mode) -> list[Message]:
    if mode.kind == "batch":
        return messages.batch(task, instances, mode.rows)
    return messages.unary(task, instances) if mode.kind == "unary" else messages.stream(task, instances)


def _generate_load(target: str, mode: Mode, requests: Path, seconds: float) -> dict[str, float]:
    script = Path(__file__).with_name("closed_loop.py")
    command = [sys.executable, str(script), target, mode.kind, str(mode.in_flight), str(seconds), str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
