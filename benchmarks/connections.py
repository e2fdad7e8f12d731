"""Many connections, each with a stream, at a constant total rate (open loop): latency and errors.

    python -m benchmarks.connections [--connections 1000] [--rate 2000] [--seconds 120] [--protocol typed|open|both]

Each stream sends at fixed intervals, whether or not earlier requests are answered; latency counts from the time when a
request was due, so a slow server cannot hide it. Exits with 1 if a request fails or a limit is exceeded.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from google.protobuf.message import Message
from rich.console import Console

from benchmarks import messages
from benchmarks.input_rows import sample
from benchmarks.production_lookup import MODELS, ROOT
from benchmarks.terminal_tables import environment, table
from inference.grpc_service_pb2 import ModelInferRequest
from ondeck_core.tasks import TASKS
from ondeck_registry.import_onnx import publish_graph
from ondeck_server.supervisor.process import EXPERIMENTS
from tests.factories.onnx_graphs import WIDTH, scoring_graph
from tests.fixtures.server import RunningServer, serving

MAX_P95_MS: Final = 50.0
MAX_MEMORY_GROWTH: Final = 0.03
TASK: Final = "batted_ball"
GRAPH: Final = "scoring"
ROWS: Final = 1024
WARM_UP: Final = 10.0  # seconds of load before memory is measured for the first time
START_TIMEOUT: Final = 120.0
COLUMNS = (
    "",
    "requests/s",
    "errors",
    "unanswered",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "send delay ms",
    "MiB at 10 s",
    "MiB at the end",
    "server's cores",
    "load's cores",
)


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """Connections, requests a second over all of them, seconds, and the number of load generators."""

    connections: int
    rate: float
    seconds: float
    generators: int


def main() -> None:
    """Run the benchmark and print its table."""
    args = _parse_args()
    load = LoadPlan(connections=args.connections, rate=args.rate, seconds=args.seconds, generators=args.generators)
    console = Console(width=180)
    console.print(
        f"{environment()}; "
        f"{load.connections} connections, {load.rate:,.0f} requests/s for {load.seconds:g} s; server and load share "
        f"{os.cpu_count()} cores.\n"
    )
    with tempfile.TemporaryDirectory() as folder, serve_models(Path(folder), args.workers) as server:
        kinds = ("typed", "open") if args.protocol == "both" else (args.protocol,)
        measured = {kind: measure(server, kind, load, Path(folder)) for kind in kinds}
    rows = [_cells(kind, each, load) for kind, each in measured.items()]
    console.print(table("streams", COLUMNS, rows))
    sys.exit(0 if all(_is_within_limits(each) for each in measured.values()) else 1)


@contextmanager
def serve_models(folder: Path, workers: int) -> Iterator[RunningServer]:
    """Serve the shipped models and a small graph for the Open Inference Protocol."""
    models = folder / "models"
    subprocess.run(["cp", "-r", str(MODELS), str(models)], check=True)  # noqa: S607  a program of the system
    publish_graph(models, GRAPH, scoring_graph())
    with serving(models, "--workers", str(workers), log=folder / "log") as server:
        yield server


def measure(server: RunningServer, kind: str, load: LoadPlan, folder: Path) -> dict[str, Any]:
    """Run the load generators at the same time; memory and CPU are those of all workers together."""
    requests = folder / kind
    messages.write(_typed() if kind == "typed" else _open(), requests)
    shares = np.linspace(0, load.connections, load.generators + 1).astype(int)
    generators = [
        _start_generator(server.target, kind, int(high - low), load, requests)
        for low, high in pairwise(shares.tolist())
    ]
    for each in generators:
        _read_line(each, "connected")
    for each in generators:
        _write_line(each, "go")
    time.sleep(min(WARM_UP, load.seconds / 2))
    early, cpu = _memory(server), _cpu_seconds(server)
    interval = max(0.0, load.seconds - min(WARM_UP, load.seconds / 2) - 1)
    time.sleep(interval)
    late, cores = _memory(server), (_cpu_seconds(server) - cpu) / interval
    results = [json.loads(each.communicate(timeout=START_TIMEOUT)[0].splitlines()[-1]) for each in generators]
    millis = np.concatenate([np.array(each["millis"]) for each in results])
    return {
        "millis": millis,
        "errors": sum(each["errors"] for each in results),
        "unanswered": sum(each["unanswered"] for each in results),
        "send_delay": max(each["send_delay"] for each in results),
        "examples": [text for each in results for text in each["examples"]],
        "memory": (early, late),
        "cores": (cores, sum(each["cpu_seconds"] for each in results) / load.seconds),
    }


def _typed() -> list[Message]:
    task = TASKS[TASK]
    return messages.stream(task, sample(task, ROWS).instances)


def _open() -> list[Message]:
    rows = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)
    return [_infer(number, row) for number, row in enumerate(rows)]


def _infer(number: int, row: Any) -> ModelInferRequest:  # noqa: ANN401  one row of a matrix
    request = ModelInferRequest(model_name=GRAPH, id=str(number), raw_input_contents=[row.tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=(1, WIDTH))
    return request


def _start_generator(
    target: str, kind: str, connections: int, load: LoadPlan, requests: Path
) -> "subprocess.Popen[str]":
    arguments: Sequence[object] = (target, kind, connections, load.rate / load.connections, load.seconds, requests)
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.open_loop", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**EXPERIMENTS, **os.environ},
    )


def _read_line(generator: "subprocess.Popen[str]", line: str) -> None:
    assert generator.stdout is not None  # noqa: S101  opened as a pipe
    if (line_read := generator.stdout.readline()) != f"{line}\n":
        sys.exit(f"a load generator wrote {line_read!r}, not {line!r}")


def _write_line(generator: "subprocess.Popen[str]", line: str) -> None:
    assert generator.stdin is not None  # noqa: S101  opened as a pipe
    generator.stdin.write(f"{line}\n")
    generator.stdin.flush()


def _memory(server: RunningServer) -> float:
    return float(sum(each.memory_info().rss for each in _workers(server))) / (1 << 20)


def _cpu_seconds(server: RunningServer) -> float:
    return float(sum(sum(each.cpu_times()[:2]) for each in _workers(server)))


def _workers(server: RunningServer) -> list[psutil.Process]:
    return server.workers()


def _cells(kind: str, measured: dict[str, Any], load: LoadPlan) -> tuple[str, ...]:
    millis, (early, late) = measured["millis"], measured["memory"]
    for text in measured["examples"]:
        print(text, file=sys.stderr)
    return (
        f"{kind}, {'ok' if _is_within_limits(measured) else 'LIMIT EXCEEDED'}",
        f"{len(millis) / load.seconds:,.0f}",
        f"{measured['errors']}",
        f"{measured['unanswered']}",
        *(f"{value:.1f}" for value in np.percentile(millis, (50, 95, 99))),
        f"{measured['send_delay'] * 1000:.1f}",
        f"{early:.1f}",
        f"{late:.1f} ({late / early - 1:+.1%})",
        *(f"{cores:.2f}" for cores in measured["cores"]),
    )


def _is_within_limits(measured: dict[str, Any]) -> bool:
    early, late = measured["memory"]
    is_complete = not measured["errors"] and not measured["unanswered"]
    return bool(
        is_complete and np.percentile(measured["millis"], 95) <= MAX_P95_MS and late / early - 1 <= MAX_MEMORY_GROWTH
    )


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=2000, help="requests a second, of all streams together")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--workers", type=int, default=2, help="worker processes of the server")
    parser.add_argument("--generators", type=int, default=1, help="load generator processes")
    parser.add_argument("--protocol", choices=("typed", "open", "both"), default="both")
    return parser.parse_args()


if __name__ == "__main__":
    main()
