"""The options that say which database a command uses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options --home and --database-url to a command."""
    home = click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
    url = click.option("--database-url", help="URL of a PostgreSQL server (ONDECK_DATABASE_URL).")
    return home(url(command))
