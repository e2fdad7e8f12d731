"""`ondeck`: the one front door; each program brings its own commands."""

import click


@click.group()
def main() -> None:
    """Serve, train and feed Statcast predictions."""
