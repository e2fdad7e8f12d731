"""Commands that are imported when they are called: `ondeck --help` loads none of the programs behind them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from ondeck_core.identifiers import canonical


@dataclass(frozen=True)
class CommandEntry:
    """Where a command lives (`module:name`), and its line in the help."""

    target: str
    line: str


class LazyGroup(click.Group):
    """A group whose commands are named beforehand and loaded one at a time; `-` and `_` in a name are the same."""

    def __init__(self, *, entries: Mapping[str, CommandEntry], **attributes: Any) -> None:  # noqa: ANN401  click's own
        super().__init__(**attributes)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Name the commands in the order in which they were given."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Load one command; None where there is no such."""
        entry = self.entries.get(canonical(cmd_name))
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the lines of the help without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in self.entries.items()])
