"""Tables for the terminal."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from ondeck_runtime.logging import printable


def make_table(title: str, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    """Make a table; its title ends with the number of rows."""
    lines = [[format_value(value) for value in row] for row in rows]
    table = Table(title=f"{title}: {len(lines)}", title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(Text(printable(value)) for value in line))
    return table


def format_value(value: object) -> str:
    """Format a value for a table: empty for None, times to the minute."""
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
