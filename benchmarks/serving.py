"""The running server beside the bare ONNX Runtime call: unary, batch and stream, throughput and latency."""

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

from benchmarks import bare, messages
from benchmarks.rows import ROOT, sample
from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS, Task

ROWS = 8192
ROUNDS = 3
SECONDS = 3.0
START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One way of asking: how many calls or instances are in flight, and how many rows each call holds."""

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
class Line:
    """What was measured of one mode, a value for each round."""

    mode: Mode
    served: list[dict[str, float]] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """Medians over the rounds, as the table shows them."""
        rate, p50, p99 = (
            statistics.median(r[key] for r in self.served) for key in ("calls_per_second", "p50_ms", "p99_ms")
        )
        rows = rate * self.mode.rows
        alone = statistics.median(self.bare)
        return (
            self.mode.name,
            f"{rate:,.0f}",
            f"{rows:,.0f}",
            f"{p50:.2f}",
            f"{p99:.2f}",
            f"{alone:,.0f}",
            f"{rows / alone:.3f}",
        )


COLUMNS = ("", "calls/s", "rows/s", "p50 ms", "p99 ms", "bare ONNX Runtime rows/s", "of bare")


def measure(task_name: str, models: Path) -> tuple[str, list[tuple[str, ...]]]:
    """Measure every mode on one task, rounds interleaved; returns a title and the rows of the table."""
    task = TASKS[task_name]
    drawn = sample(task, ROWS)
    graph = models / task.name / "1" / "model.onnx"
    lines = [Line(mode=mode) for mode in MODES]
    with tempfile.TemporaryDirectory() as folder, running_server(models) as target:
        files = _write_requests(task, drawn.instances, Path(folder))
        features = task.features.compute(drawn.instances)
        for _ in range(ROUNDS):
            for line in lines:
                line.bare.append(bare.rows_per_second(graph, features, line.mode.rows, SECONDS / 3))
                line.served.append(_load(target, line.mode, files[line.mode]))
    return f"{task.name}: {drawn.origin}", [line.cells() for line in lines]


@contextmanager
def running_server(models: Path) -> Iterator[str]:
    """Run the real server in a process of its own, as `ondeck serve` does, until the block ends."""
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
        answer = check(HealthCheckRequest(), timeout=START_SECONDS)
    if answer.status != HealthCheckResponse.SERVING:
        sys.exit(f"the server at {target} does not serve")


def _write_requests(task: Task, instances: Matrix, folder: Path) -> dict[Mode, Path]:
    files = {mode: folder / str(number) for number, mode in enumerate(MODES)}
    for mode, path in files.items():
        messages.write(_requests(task, instances, mode), path)
    return files


def _requests(task: Task, instances: Matrix, mode: Mode) -> list[Message]:
    if mode.kind == "batch":
        return messages.batch(task, instances, mode.rows)
    return messages.unary(task, instances) if mode.kind == "unary" else messages.stream(task, instances)


def _load(target: str, mode: Mode, requests: Path) -> dict[str, float]:
    script = Path(__file__).with_name("load.py")
    command = [sys.executable, str(script), target, mode.kind, str(mode.in_flight), str(SECONDS), str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
