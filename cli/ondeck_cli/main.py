"""`ondeck`: the one front door; each program brings its own commands."""

import sys
from importlib.metadata import version
from typing import Final

import click

from ondeck_cli.lazy import CommandEntry, LazyGroup
from ondeck_core.errors import OndeckError
from ondeck_runtime.logging import FORMATS, LEVELS, configure_logging

INTERRUPTED: Final = 130

COMMANDS: Final = {
    "up": CommandEntry("ondeck_cli.up.command:up", "Run everything on this machine."),
    "serve": CommandEntry("ondeck_server.cli:serve", "Serve the models over gRPC."),
    "reload": CommandEntry("ondeck_server.cli:reload", "Replace a running server's processes, one at a time."),
    "players": CommandEntry("ondeck_ingest.cli.players:players", "Know who every row is about."),
    "predict": CommandEntry("ondeck_cli.predict:predict", "Ask a running server about one instance."),
    "explain": CommandEntry("ondeck_cli.explain:explain", "Ask it why: what each field did to a probability."),
    "models": CommandEntry("ondeck_cli.models.group:models", "Look at the model repository, and move it."),
    "ingest": CommandEntry("ondeck_ingest.cli.ingest:ingest", "Take Statcast rows into PostgreSQL."),
    "train": CommandEntry("ondeck_trainer.cli.train:train", "Fit, judge and publish a model."),
    "evaluate": CommandEntry("ondeck_trainer.cli.evaluate:evaluate", "Judge a published version on days or on files."),
    "recalibrate": CommandEntry(
        "ondeck_trainer.cli.evaluate:recalibrate", "Fit a version's last layer to recent rows."
    ),
}


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"token_normalize_func": lambda t: t.replace("_", "-")})
@click.option(
    "--log-level",
    envvar="ONDECK_LOG_LEVEL",
    type=click.Choice(list(LEVELS), case_sensitive=False),
    default="info",
    help="Least that is logged, to standard error (ONDECK_LOG_LEVEL).",
)
@click.option(
    "--log-format",
    envvar="ONDECK_LOG_FORMAT",
    type=click.Choice(FORMATS, case_sensitive=False),
    help="Default: text on a terminal, json elsewhere (ONDECK_LOG_FORMAT).",
)
@click.version_option(version("ondeck-cli"), prog_name="ondeck")
def ondeck(log_level: str, log_format: str | None) -> None:
    """Serve, train and feed Statcast predictions."""
    configure_logging(log_level, log_format or ("text" if sys.stderr.isatty() else "json"))


def main() -> None:
    """Run one command. What Ondeck refuses is told in words, with exit code 1, never as a traceback."""
    try:
        sys.exit(ondeck.main(prog_name="ondeck", standalone_mode=False) or 0)
    except OndeckError as refused:
        click.echo("error: " + str(refused).replace("\n", "\n       "), err=True)
        sys.exit(1)
    except click.ClickException as misused:
        misused.show()
        sys.exit(misused.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
