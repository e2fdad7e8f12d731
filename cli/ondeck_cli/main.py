"""`ondeck`: the one front door; each program brings its own commands."""

import sys
from importlib.metadata import version
from typing import Final

import click

from ondeck_cli.lazy import Entry, LazyGroup
from ondeck_cli.logs import configure_logs
from ondeck_core.errors import OndeckError

INTERRUPTED: Final = 130

COMMANDS: Final = {
    "up": Entry("ondeck_cli.up.command:up", "Run everything on this machine."),
    "serve": Entry("ondeck_server.commands:serve", "Serve the models over gRPC."),
    "predict": Entry("ondeck_cli.predict:predict", "Ask a running server about one instance."),
    "models": Entry("ondeck_cli.models:models", "List what a running server knows."),
    "ingest": Entry("ondeck_ingest.commands:ingest", "Take Statcast rows into PostgreSQL."),
    "train": Entry("ondeck_trainer.commands:train", "Fit, judge and publish a model."),
}

ondeck = click.version_option(version("ondeck-cli"), prog_name="ondeck")(
    LazyGroup(COMMANDS, name="ondeck", help="Serve, train and feed Statcast predictions.")
)


def main() -> None:
    """Run one command. What Ondeck refuses is one line on standard error and exit code 1, never a traceback."""
    try:
        configure_logs()
        sys.exit(ondeck.main(prog_name="ondeck", standalone_mode=False) or 0)
    except OndeckError as refused:
        click.echo(f"error: {refused}", err=True)
        sys.exit(1)
    except click.ClickException as misused:
        misused.show()
        sys.exit(misused.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
