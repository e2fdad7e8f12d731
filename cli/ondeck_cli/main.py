"""`ondeck`: one entry point for the commands of every program; a command's module is imported when the command runs."""

import importlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import click

from ondeck_core.errors import OndeckError
from ondeck_core.model_name_normalization import canonical
from ondeck_runtime.correlation import correlated
from ondeck_runtime.log_file import default_file
from ondeck_runtime.logging import FORMATS, LEVELS, configure_logging, printable
from ondeck_runtime.redaction import redact
from ondeck_runtime.settings import DEFAULT_HOME, PREFIX, InvalidSettingsError

INTERRUPTED: Final = 130
LOG_FILE_VARIABLE: Final = f"{PREFIX}LOG_FILE"
HOME_VARIABLE: Final = f"{PREFIX}HOME"
CORRELATION_VARIABLE: Final = f"{PREFIX}CORRELATION_ID"
NO_FILE: Final = "none"
WORDS: Final = "ondeck_cli.words"  # of the command, in the context
_SERVICES: Final = ("server", "up")  # whose lines belong to no run


@dataclass(frozen=True)
class CommandEntry:
    """Import path of a command (`module:name`), and its line in the help."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A group that imports a command on first use; `-` and `_` in a command name are equivalent."""

    def __init__(self, *, entries: Mapping[str, CommandEntry], **attributes: Any) -> None:  # noqa: ANN401  click's own
        super().__init__(**attributes)
        self.entries = entries

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options of the group; keep the words after them, which click removes before it calls the group."""
        rest = super().parse_args(ctx, args)
        ctx.meta[WORDS] = list(rest)
        return rest

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the command names in the order of the entries."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import a command; None if it is unknown."""
        entry = {canonical(name): each for name, each in self.entries.items()}.get(canonical(cmd_name))
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])


COMMANDS: Final = {
    "up": CommandEntry("ondeck_cli.up.stack:up", "Run database, server and ingest worker on this machine."),
    "serve": CommandEntry("ondeck_server.cli:serve", "Serve the models over gRPC."),
    "log-level": CommandEntry("ondeck_cli.log_level:log_level", "Change the log level of a running program."),
    "trace": CommandEntry("ondeck_cli.trace:trace", "Print the log lines of one call, job or run."),
    "reload": CommandEntry("ondeck_server.cli:reload", "Restart the workers of a running server, one at a time."),
    "alerts": CommandEntry("ondeck_cli.main:alerts", "List the alerts of a running server; print the rules."),
    "players": CommandEntry("ondeck_cli.main:players", "Import player registers; resolve names and ids."),
    "predict": CommandEntry("ondeck_cli.predict:predict", "Request a prediction from a running server."),
    "explain": CommandEntry("ondeck_cli.explain:explain", "Explain a prediction by the contribution of each field."),
    "models": CommandEntry("ondeck_cli.main:models", "List, compare, verify and promote model versions."),
    "ingest": CommandEntry("ondeck_ingest.cli.ingest:ingest", "Ingest Statcast data into PostgreSQL."),
    "train": CommandEntry("ondeck_trainer.cli.train:train", "Fit, evaluate and publish a model."),
    "evaluate": CommandEntry("ondeck_trainer.cli.evaluate:evaluate", "Evaluate a published version on days or files."),
    "served": CommandEntry("ondeck_cli.main:served", "Compare served predictions with their outcomes."),
    "recalibrate": CommandEntry("ondeck_trainer.cli.evaluate:recalibrate", "Recalibrate a version on recent rows."),
}
# The program that a command belongs to, in the log; of the others it is the command line.
PROGRAMS: Final = {
    "up": "up",
    "serve": "server",
    "ingest": "ingest",
    "players": "ingest",
    "train": "trainer",
    "evaluate": "trainer",
    "served": "trainer",
    "recalibrate": "trainer",
}

MODELS_COMMANDS: Final = {
    "list": CommandEntry("ondeck_cli.models.list:list_", "List versions with their aliases and evaluation."),
    "import": CommandEntry("ondeck_cli.models.versions:import_", "Import an ONNX graph as a version."),
    "compare": CommandEntry("ondeck_cli.models.compare:compare_", "Compare two versions on the same later rows."),
    "promote": CommandEntry("ondeck_cli.models.aliases:promote", "Put a version into production if it is better."),
    "rollback": CommandEntry("ondeck_cli.models.aliases:rollback", "Point an alias to its previous version."),
    "history": CommandEntry("ondeck_cli.models.aliases:history", "Show the alias log of a model."),
    "migrate": CommandEntry("ondeck_cli.models.versions:migrate", "Migrate a repository of an older format."),
    "verify": CommandEntry("ondeck_cli.models.versions:verify", "Verify the files of versions and their predictions."),
}

ALERTS_COMMANDS: Final = {
    "list": CommandEntry("ondeck_server.alerts.cli:list_", "List the alerts of a running server."),
    "rules": CommandEntry("ondeck_server.alerts.cli:print_rules", "Print the rules, for a Prometheus of your own."),
}

_REGISTERS: Final = "ondeck_ingest.cli.player_registers"
PLAYERS_COMMANDS: Final = {
    "import": CommandEntry(f"{_REGISTERS}:import_", "Import registers of players from files."),
    "refresh": CommandEntry(f"{_REGISTERS}:refresh", "Fetch and import the Chadwick register."),
    "resolve": CommandEntry("ondeck_ingest.cli.players:resolve", "Find the player of a name or an id."),
    "override": CommandEntry(f"{_REGISTERS}:override", "Map a name or an id to a player, overriding the registers."),
    "unresolved": CommandEntry(f"{_REGISTERS}:unresolved_", "List unknown players, conflicts and overrides."),
}

SERVED_COMMANDS: Final = {
    "score": CommandEntry("ondeck_trainer.cli.served:score", "Score recorded predictions against stored outcomes."),
    "scores": CommandEntry("ondeck_trainer.cli.served:scores", "Print the scores beside those at training."),
}

models = LazyGroup(name="models", entries=MODELS_COMMANDS, help="List, compare, verify and promote model versions.")

alerts = LazyGroup(name="alerts", entries=ALERTS_COMMANDS, help="List the alerts of a running server; print the rules.")

served = LazyGroup(name="served", entries=SERVED_COMMANDS, help="Compare served predictions with their outcomes.")

players = LazyGroup(
    name="players",
    entries=PLAYERS_COMMANDS,
    help="Identify players: import registers, resolve names and ids, override registers.",
)


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"token_normalize_func": lambda t: t.replace("_", "-")})
@click.option(
    "--log-level",
    envvar="ONDECK_LOG_LEVEL",
    type=click.Choice(list(LEVELS), case_sensitive=False),
    default="info",
    help="Lowest level that is logged, to standard error (ONDECK_LOG_LEVEL).",
)
@click.option(
    "--log-format",
    envvar="ONDECK_LOG_FORMAT",
    type=click.Choice(FORMATS, case_sensitive=False),
    help="Default: text on a terminal, json elsewhere (ONDECK_LOG_FORMAT).",
)
@click.version_option(version("ondeck-cli"), prog_name="ondeck")
@click.pass_context
def ondeck(context: click.Context, log_level: str, log_format: str | None) -> None:
    """Ingest Statcast data, train models on it, and serve their predictions over gRPC."""
    program = PROGRAMS.get(canonical(context.invoked_subcommand or ""), "cli")
    context.obj = log_file_of(program, context.meta[WORDS], os.environ)
    form = log_format or ("text" if sys.stderr.isatty() else "json")
    configure_logging(log_level, form, program, context.obj)
    if program not in _SERVICES:
        context.with_resource(correlated(os.environ.get(CORRELATION_VARIABLE, "")))


def log_file_of(program: str, words: Sequence[str], environment: Mapping[str, str]) -> Path | None:
    """Return the log file: that of ONDECK_LOG_FILE, else one in the home folder; None: the home does not exist."""
    named = environment.get(LOG_FILE_VARIABLE, "")
    if named:
        return None if named == NO_FILE else Path(named)
    options = {**dict(pairwise(words)), **dict(word.split("=", 1) for word in words if word.startswith("--home="))}
    return default_file(Path(options.get("--home") or environment.get(HOME_VARIABLE) or DEFAULT_HOME), program)


def main() -> None:
    """Run one command; an expected error becomes a message on standard error and exit code 1, without a traceback."""
    sys.excepthook = _print_traceback
    try:
        sys.exit(ondeck.main(prog_name="ondeck", standalone_mode=False) or 0)
    except (OndeckError, InvalidSettingsError) as error:
        click.echo("error: " + "\n       ".join(printable(line) for line in redact(str(error)).split("\n")), err=True)
        sys.exit(1)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(redact(shown.getvalue()), nl=False, err=True)  # it repeats the arguments that are not expected
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
