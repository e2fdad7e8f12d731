"""What the benchmarks print: a line about the machine, and tables."""

import platform
from datetime import UTC, datetime

from rich.table import Table


def environment() -> str:
    """Return when and on what a benchmark runs."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Python {platform.python_version()}"


def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    """Lay out rows of text; the first column is aligned left, the others right."""
    drawn = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    return drawn
