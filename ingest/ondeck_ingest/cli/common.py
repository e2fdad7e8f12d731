"""What the commands share: the database options, and tables for the terminal."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options --home and --database-url to a command."""
    home = click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
    url = click.option("--database-url", help="URL of a PostgreSQL server (ONDECK_DATABASE_URL).")
    return home(url(command))


def make_table(title: str, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    """Make a table; its title ends with the number of rows."""
    lines = [[format_value(value) for value in row] for row in rows]
    table = Table(title=f"{title}: {len(lines)}", title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def format_value(value: object) -> str:
    """Format a value for a table: empty for None, times to the minute."""
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
