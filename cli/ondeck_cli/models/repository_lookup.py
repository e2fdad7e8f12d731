"""Options and lookups that the `ondeck models` commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ondeck_core.errors import NotFoundError
from ondeck_core.model_name_normalization import canonical
from ondeck_registry.repository import ModelEntry, read_repository
from ondeck_runtime.settings import read_settings
from ondeck_server.settings import ServerSettings


def repository_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --model-repository to a command."""
    kind = click.Path(path_type=Path)
    return click.option("--model-repository", type=kind, help="Model repository (ONDECK_MODEL_REPOSITORY).")(command)


def repository_of(flags: dict[str, object]) -> Path:
    """Return the folder of the model repository, from the option or the settings."""
    return read_settings(ServerSettings, **flags).model_repository


def find_model(repository: Path, name: str) -> ModelEntry:
    """Return a model of the repository; `-` and `_` in its name are equivalent.

    Raises:
        NotFoundError: the repository has no such model.
    """
    models = {model.model: model for model in read_repository(repository)}
    if canonical(name) not in models:
        raise NotFoundError("model", name, sorted(models))
    return models[canonical(name)]


def check_version(model: ModelEntry, version: int) -> None:
    """Check that a model has a version.

    Raises:
        NotFoundError: the model has no such version.
    """
    if version not in model.versions:
        raise NotFoundError("version", f"{model.model}/{version}", [str(known) for known in model.versions])


def model_faults(model: ModelEntry) -> list[str]:
    """Return a message for each part of a model that is set aside, and each alias of a missing version."""
    return [f"{model.model}: {fault}" for fault in model.faults]
