"""Interactive calls on a quiet server, and beside two compressed bulk calls of as many rows as a message can have.

    python -m benchmarks.bulk_calls [--rows ROWS]

It starts itself as `python -m benchmarks.bulk_calls --load TARGET`: an open-loop generator of Predict calls, which runs
until its input ends. Latencies count from the time at which a call is due. The generator also measures by how much a
bare `asyncio.sleep` exceeds its time: that is the share of the machine, not of the server.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import grpc
import numpy as np
from rich.console import Console

from benchmarks import messages
from benchmarks.input_rows import generate_instances
from benchmarks.production_lookup import MODELS
from benchmarks.terminal_tables import environment, table
from benchmarks.throughput import running_server
from benchmarks.workload_sizes import FULL, Scale
from ondeck_core.tasks import TASKS

TASK: Final = TASKS["batted_ball"]
SERVICE: Final = "/ondeck.v1.PredictionService/"
BULK_CALLS: Final = 2
RATE: Final = 300.0  # interactive calls a second
CONNECTIONS: Final = 8
PROBE_SECONDS: Final = 0.005
BULK_TIMEOUT: Final = 300.0
OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
COLUMNS: Final = (
    "interactive calls",
    "answered",
    "refused",
    "p50 ms",
    "p99 ms",
    "max ms",
    "sleep p99 ms",
    "bulk rows/s",
)


@dataclass(kw_only=True)
class LoadResult:
    """Latencies of the calls that succeeded, the status codes of the others, and the excess of the sleeps."""

    millis: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    sleep_millis: list[float] = field(default_factory=list)


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure with two workers and with one; returns a title and the rows of the table."""
    title = f"{RATE:g} Predict calls/s beside {BULK_CALLS} gzip calls of {scale.bulk_rows:,} rows"
    return title, [row for workers in (2, 1) for row in _measure(workers, scale)]


def _measure(workers: int, scale: Scale) -> list[tuple[str, ...]]:
    body = _bulk_request(scale.bulk_rows)
    with running_server(MODELS, "--workers", str(workers)) as target:
        _call_bulk(target, _bulk_request(1), 1)
        with _load(target) as quiet:
            time.sleep(2 * scale.seconds)
        with _load(target) as loaded:
            seconds = _call_bulk(target, body, BULK_CALLS)
    rate = f"{BULK_CALLS * scale.bulk_rows / seconds:,.0f}"
    name = f"{workers} worker{'s' if workers > 1 else ''}"
    return [_cells(f"{name}, quiet", quiet, ""), _cells(f"{name}, bulk", loaded, rate)]


def _cells(name: str, result: LoadResult, rate: str) -> tuple[str, ...]:
    p50, p99, longest = np.percentile(result.millis, (50, 99, 100))
    sleep = float(np.percentile(result.sleep_millis, 99))
    answered, failed = len(result.millis), sum(result.failures.values())
    return (name, f"{answered:,}", f"{failed}", f"{p50:.2f}", f"{p99:.2f}", f"{longest:.1f}", f"{sleep:.2f}", rate)


def _bulk_request(rows: int) -> bytes:
    one = generate_instances(TASK.instance, 1)
    return messages.batch(TASK, np.repeat(one, rows, axis=0), rows)[0].SerializeToString()


def _call_bulk(target: str, body: bytes, calls: int) -> float:
    """Make the calls at the same time, each on its own connection; returns the seconds until all have ended."""
    begin = time.perf_counter()
    channels = [grpc.insecure_channel(target, OPTIONS) for _ in range(calls)]
    stubs: list[Any] = [channel.unary_unary(f"{SERVICE}BatchPredict") for channel in channels]
    running = [each.future(body, timeout=BULK_TIMEOUT, compression=grpc.Compression.Gzip) for each in stubs]
    for each in running:
        each.result()
    for channel in channels:
        channel.close()
    return time.perf_counter() - begin


@contextmanager
def _load(target: str) -> Iterator[LoadResult]:
    """Run the load generator during the block; the result is filled at its end."""
    command = [sys.executable, "-m", "benchmarks.bulk_calls", "--load", target]
    result = LoadResult()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  opened as a pipe
        process.stdout.readline()  # it is connected
        yield result
        vars(result).update(json.loads(process.communicate()[0]))


async def _generate(target: str) -> LoadResult:
    """Call at fixed intervals until standard input ends."""
    result, failures = LoadResult(), Counter[str]()
    bodies = [each.SerializeToString() for each in messages.unary(TASK, generate_instances(TASK.instance, 512))]
    channels = [grpc.aio.insecure_channel(target, OPTIONS) for _ in range(CONNECTIONS)]
    calls: list[Any] = [each.unary_unary(f"{SERVICE}Predict") for each in channels]

    async def call(number: int, due: float) -> None:
        try:
            await calls[number % CONNECTIONS](bodies[number % len(bodies)])
        except grpc.aio.AioRpcError as error:
            failures[error.code().name] += 1
        else:
            result.millis.append((time.perf_counter() - due) * 1000)

    await asyncio.gather(*(each(bodies[0]) for each in calls))
    print("connected", flush=True)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    probe = asyncio.create_task(_probe(result.sleep_millis))
    begin, running = time.perf_counter(), set[asyncio.Task[None]]()
    for number in itertools.count():
        due = begin + number / RATE
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        if ended.done():
            break
        running.add(asyncio.create_task(call(number, due)))
    await asyncio.gather(*running)
    probe.cancel()
    result.failures = dict(failures)
    return result


async def _probe(excess: list[float]) -> None:
    while True:
        begin = time.perf_counter()
        await asyncio.sleep(PROBE_SECONDS)
        excess.append((time.perf_counter() - begin - PROBE_SECONDS) * 1000)


def main() -> None:
    """Print the table, or generate load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", metavar="TARGET", help="generate load until the input ends")
    parser.add_argument("--rows", type=int, default=FULL.bulk_rows, help="rows of a bulk call")
    args = parser.parse_args()
    if args.load:
        print(json.dumps(asdict(asyncio.run(_generate(args.load)))))
        return
    title, rows = measure(Scale(**{**asdict(FULL), "bulk_rows": args.rows}))
    console = Console(width=140)
    console.print(f"{environment()}; server and load share the same cores: compare the ratios.\n")
    console.print(table(title, COLUMNS, rows))


if __name__ == "__main__":
    main()
