"""The running server beside bare ONNX Runtime: throughput and latency of unary, batch and stream calls."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from benchmarks import messages
from benchmarks.graphs import rows_per_second
from benchmarks.production import MODELS, ROOT, production_folder
from benchmarks.samples import sample
from benchmarks.scale import Scale
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
def running_server(models: Path) -> Iterator[str]:
    """Run `ondeck serve` for as long as the block; yields its address."""
    port, admin = _free_port(), _free_port()
    command = [sys.executable, "-m", "ondeck_cli", "serve", "--model-repository", str(models), "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--admin-port", str(admin)], cwd=ROOT, stdout=log, stderr=log, env=os.environ
        )
        try:
            target = f"127.0.0.1:{port}"
            _wait_until_serving(target)
            yield target
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_serving(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
        check: grpc.UnaryUnaryMultiCallable[HealthCheckRequest, HealthCheckResponse] = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        response = check(HealthCheckRequest(), timeout=START_SECONDS)
    if response.status != HealthCheckResponse.SERVING:
        sys.exit(f"the server at {target} is not serving")


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
