"""Many connections, each with a stream, and a total rate that nobody waits for: how long answers take, and who fails.

    python -m benchmarks.connections [--connections 1000] [--rate 2000] [--seconds 120] [--protocol typed|open|both]

Each stream asks at its own steady times, whether or not it has been answered, and an answer's time counts from when
its request should have been sent. It ends with exit code 1 where a request failed or the figures are not met.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from google.protobuf.message import Message
from rich.console import Console

from benchmarks import messages
from benchmarks.rows import ROOT, sample
from benchmarks.tables import table
from inference.grpc_service_pb2 import ModelInferRequest
from ondeck_core.tasks import TASKS
from ondeck_registry.import_onnx import publish_graph
from ondeck_server.supervisor.process import EXPERIMENTS
from tests.factories.onnx_graphs import WIDTH, scoring
from tests.fixtures.server import RunningServer, serving

MOST_P95_MS: Final = 50.0
MOST_GROWTH: Final = 0.03
TASK: Final = "batted_ball"
GRAPH: Final = "scoring"
ROWS: Final = 1024
SETTLING: Final = 10.0  # seconds of load before memory is looked at for the first time
LONGEST_START: Final = 120.0
COLUMNS = (
    "",
    "requests/s",
    "errors",
    "unanswered",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "late ms",
    "MiB at 10 s",
    "MiB at the end",
    "server's cores",
    "load's cores",
)


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many connections, requests a second in all, seconds, and processes that make them."""

    connections: int
    rate: float
    seconds: float
    generators: int


def main() -> None:
    """Measure and print."""
    words = _words()
    load = Load(connections=words.connections, rate=words.rate, seconds=words.seconds, generators=words.generators)
    console = Console(width=180)
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Python {platform.python_version()}; "
        f"{load.connections} connections, {load.rate:,.0f} requests/s for {load.seconds:g} s; server and load share "
        f"{os.cpu_count()} cores.\n"
    )
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), words.processes) as server:
        kinds = ("typed", "open") if words.protocol == "both" else (words.protocol,)
        measured = {kind: measure(server, kind, load, Path(folder)) for kind in kinds}
    rows = [_cells(kind, each, load) for kind, each in measured.items()]
    console.print(table("streams", COLUMNS, rows))
    sys.exit(0 if all(_met(each) for each in measured.values()) else 1)


@contextmanager
def served(folder: Path, processes: int) -> Iterator[RunningServer]:
    """Serve the shipped models, and a small graph for the Open Inference Protocol."""
    models = folder / "models"
    subprocess.run(["cp", "-r", str(ROOT / "onnx_models"), str(models)], check=True)  # noqa: S607  the system's own
    publish_graph(models, GRAPH, scoring())
    with serving(models, "--workers", str(processes), log=folder / "log") as server:
        yield server


def measure(server: RunningServer, kind: str, load: Load, folder: Path) -> dict[str, Any]:
    """Have generators make their shares of the load at the same time; memory is that of all workers."""
    requests = folder / kind
    messages.write(_typed() if kind == "typed" else _open(), requests)
    shares = np.linspace(0, load.connections, load.generators + 1).astype(int)
    begun = [
        _generator(server.target, kind, int(high - low), load, requests) for low, high in pairwise(shares.tolist())
    ]
    for each in begun:
        _expect(each, "connected")
    for each in begun:
        _tell(each, "go")
    time.sleep(min(SETTLING, load.seconds / 2))
    early, busy = _memory(server), _cpu_seconds(server)
    between = max(0.0, load.seconds - min(SETTLING, load.seconds / 2) - 1)
    time.sleep(between)
    late, cores = _memory(server), (_cpu_seconds(server) - busy) / between
    told = [json.loads(each.communicate(timeout=LONGEST_START)[0].splitlines()[-1]) for each in begun]
    millis = np.concatenate([np.array(each["millis"]) for each in told])
    return {
        "millis": millis,
        "errors": sum(each["errors"] for each in told),
        "unanswered": sum(each["unanswered"] for each in told),
        "late": max(each["late"] for each in told),
        "examples": [text for each in told for text in each["examples"]],
        "memory": (early, late),
        "cores": (cores, sum(each["cpu_seconds"] for each in told) / load.seconds),
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


def _generator(target: str, kind: str, connections: int, load: Load, requests: Path) -> "subprocess.Popen[str]":
    words: Sequence[object] = (target, kind, connections, load.rate / load.connections, load.seconds, requests)
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.streams", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**EXPERIMENTS, **os.environ},
    )


def _expect(generator: "subprocess.Popen[str]", line: str) -> None:
    assert generator.stdout is not None  # noqa: S101  it was opened so
    if (heard := generator.stdout.readline()) != f"{line}\n":
        sys.exit(f"a generator said {heard!r}")


def _tell(generator: "subprocess.Popen[str]", line: str) -> None:
    assert generator.stdin is not None  # noqa: S101  it was opened so
    generator.stdin.write(f"{line}\n")
    generator.stdin.flush()


def _memory(server: RunningServer) -> float:
    return float(sum(each.memory_info().rss for each in _workers(server))) / (1 << 20)


def _cpu_seconds(server: RunningServer) -> float:
    return float(sum(sum(each.cpu_times()[:2]) for each in _workers(server)))


def _workers(server: RunningServer) -> list[psutil.Process]:
    return list(psutil.Process(server.process.pid).children())


def _cells(kind: str, measured: dict[str, Any], load: Load) -> tuple[str, ...]:
    millis, (early, late) = measured["millis"], measured["memory"]
    for text in measured["examples"]:
        print(text, file=sys.stderr)
    return (
        f"{kind}, {'met' if _met(measured) else 'NOT MET'}",
        f"{len(millis) / load.seconds:,.0f}",
        f"{measured['errors']}",
        f"{measured['unanswered']}",
        *(f"{value:.1f}" for value in np.percentile(millis, (50, 95, 99))),
        f"{measured['late'] * 1000:.1f}",
        f"{early:.1f}",
        f"{late:.1f} ({late / early - 1:+.1%})",
        *(f"{cores:.2f}" for cores in measured["cores"]),
    )


def _met(measured: dict[str, Any]) -> bool:
    early, late = measured["memory"]
    whole = not measured["errors"] and not measured["unanswered"]
    return bool(whole and np.percentile(measured["millis"], 95) <= MOST_P95_MS and late / early - 1 <= MOST_GROWTH)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=2000, help="requests a second, of all streams together")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--workers", type=int, default=2, help="of the server")
    parser.add_argument("--generators", type=int, default=1, help="processes that make the load")
    parser.add_argument("--protocol", choices=("typed", "open", "both"), default="both")
    return parser.parse_args()


if __name__ == "__main__":
    main()
