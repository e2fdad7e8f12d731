"""Tables for people to read."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.table import Table


def listed(title: str, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    """Draw a table of values of any kind; its title says how many rows it has."""
    lines = [[in_a_cell(value) for value in row] for row in rows]
    table = Table(title=f"{title}: {len(lines)}", title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def in_a_cell(value: object) -> str:
    """Write a value for people: nothing for None, times to the minute."""
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
