"""Which repository, and which model of it, a person means."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ondeck_core.errors import NotFoundError
from ondeck_core.identifiers import canonical
from ondeck_registry.repository import ModelEntry, read_repository
from ondeck_server.settings import ServerSettings
from ondeck_store.settings import read_settings


def shelved(command: Callable[..., Any]) -> Callable[..., Any]:
    """Have a command know where the repository is: option --model-repository."""
    kind = click.Path(path_type=Path)
    return click.option("--model-repository", type=kind, help="The model repository (ONDECK_MODEL_REPOSITORY).")(
        command
    )


def repository_of(flags: dict[str, object]) -> Path:
    """Tell where the repository is, by the flag or the settings."""
    return read_settings(ServerSettings, **flags).model_repository


def line_named(repository: Path, model: str) -> ModelEntry:
    """Find a model; `-` and `_` are the same.

    Raises:
        NotFoundError: there is none of this name.
    """
    lines = {line.model: line for line in read_repository(repository)}
    if canonical(model) not in lines:
        raise NotFoundError("model", model, sorted(lines))
    return lines[canonical(model)]


def check_there(line: ModelEntry, version: int) -> None:
    """See that a model has a version.

    Raises:
        NotFoundError: it has none of this number.
    """
    if version not in line.versions:
        raise NotFoundError("version", f"{line.model}/{version}", [str(known) for known in line.versions])


def leading_nowhere(line: ModelEntry) -> list[str]:
    """Name the aliases that point to a version that is not there."""
    return [
        f"{line.model}: {alias} points to version {version}, which is not there"
        for alias, version in sorted(line.aliases.items())
        if version not in line.versions
    ]
