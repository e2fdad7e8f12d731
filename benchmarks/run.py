"""`make bench`: the server beside bare ONNX Runtime, graphs, explanations, ingest beside a bare COPY, who is meant."""

import platform
from datetime import UTC, datetime

from rich.console import Console

from benchmarks import batching, explain, graphs, ingest, players, season, serving
from benchmarks.rows import ROOT
from benchmarks.tables import table


def main() -> None:
    """Measure everything and print it."""
    console = Console(width=120)
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Python {platform.python_version()}; server, "
        "load and database share the same cores: read the ratios.\n"
    )
    for task in ("batted_ball", "called_strike"):
        title, rows = serving.measure(task, ROOT / "onnx_models")
        console.print(table(title, serving.COLUMNS, rows))
    for measured in (graphs, batching, explain, ingest, season, players):
        title, rows = measured.measure()
        console.print(table(title, measured.COLUMNS, rows))


if __name__ == "__main__":
    main()
