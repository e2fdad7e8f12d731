"""`make bench`: the server beside bare ONNX Runtime, graphs, bulk calls, explanations, ingest, player look-ups.

    python -m benchmarks.run [--quick]

`--quick` runs every benchmark once on a few generated rows: it shows that they work, its figures mean nothing.
"""

import argparse

from rich.console import Console

from benchmarks import (
    bulk_calls,
    explanation_latency,
    graph_latency,
    ingest,
    players,
    season_ingest,
    thread_offload,
    throughput,
    worker_memory,
)
from benchmarks.terminal_tables import environment, table
from benchmarks.workload_sizes import FULL, QUICK

TASKS_MEASURED = ("batted_ball", "called_strike")


def main() -> None:
    """Run every benchmark and print its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few generated rows, one round, under a minute")
    scale = QUICK if parser.parse_args().quick else FULL
    console = Console(width=120)
    console.print(f"{environment()}; server, load and database share the same cores: compare the ratios.\n")
    for task in TASKS_MEASURED:
        title, rows = throughput.measure(task, scale)
        console.print(table(title, throughput.COLUMNS, rows))
    for benchmark in (
        graph_latency,
        thread_offload,
        bulk_calls,
        explanation_latency,
        ingest,
        season_ingest,
        players,
        worker_memory,
    ):
        title, rows = benchmark.measure(scale)
        console.print(table(title, benchmark.COLUMNS, rows))


if __name__ == "__main__":
    main()
