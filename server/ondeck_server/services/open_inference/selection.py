"""Selects the version of a request: by number, by alias, or by default."""

from functools import lru_cache
from typing import Final

from ondeck_core.errors import MAX_NAME_LENGTH, InvalidInstanceError, NotFoundError, Violation
from ondeck_core.manifest import PRODUCTION
from ondeck_core.model_name_normalization import canonical
from ondeck_registry.repository import ModelEntry
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState
from ondeck_server.models.version_resolution import ModelRef

_CACHE_SIZE: Final = 1024  # names and versions as callers write them


def select_version(models: ModelManager, name: str, version: str, field: str = "name") -> ModelRef:
    """Return a version by number or alias; without either production, else the newest loaded version.

    `field` is the request field that names the model.

    Raises:
        InvalidInstanceError: the request names no model.
        NotFoundError: a name exceeds the maximum length.
    """
    if len(name) > MAX_NAME_LENGTH or len(version) > MAX_NAME_LENGTH:
        raise NotFoundError("model", f"{name}/{version}" if len(name) <= MAX_NAME_LENGTH else name)
    if version:
        return _explicit(name, version)
    if not name:
        raise InvalidInstanceError([Violation(field, "is required, for example 'batted_ball'")])
    production = _production(name)
    entry = models.repository.entries.get(production.model)
    if entry is None or PRODUCTION in entry.aliases or not entry.versions:
        return production
    return ModelRef(model=name, version=models.newest_loaded(production.model) or max(entry.versions))


def loaded_versions(models: ModelManager, entry: ModelEntry) -> list[int]:
    """Return the loaded versions of a model in ascending order."""
    return [number for number in entry.versions if models.versions[entry.model, number].state is VersionState.LOADED]


@lru_cache(_CACHE_SIZE)
def _explicit(name: str, version: str) -> ModelRef:
    number = int(version) if version.isascii() and version.isdigit() else None
    return ModelRef(model=name, version=number, alias=version if number is None else None)


@lru_cache(_CACHE_SIZE)
def _production(name: str) -> ModelRef:
    return ModelRef(model=canonical(name))
