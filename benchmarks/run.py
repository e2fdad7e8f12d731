"""`make bench`: the server beside bare ONNX Runtime, graphs, explanations, ingest beside a bare COPY, who is meant."""

import platform
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from benchmarks import explaining, graphs, ingest, players, season, serving
from benchmarks.rows import ROOT


def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    """Lay out what was measured."""
    drawn = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    return drawn


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
    for measured in (graphs, explaining, ingest, season, players):
        title, rows = measured.measure()
        console.print(table(title, measured.COLUMNS, rows))


if __name__ == "__main__":
    main()
