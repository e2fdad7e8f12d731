"""Options that many commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def stored(command: Callable[..., Any]) -> Callable[..., Any]:
    """Have a command know where its rows are stored: options --home and --database-url."""
    home = click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
    url = click.option("--database-url", help="A PostgreSQL server (ONDECK_DATABASE_URL).")
    return home(url(command))
