"""Which version a caller of the Open Inference Protocol means: a number, an alias, or nothing at all."""

from functools import lru_cache
from typing import Final

from ondeck_core.errors import LONGEST_NAME, InvalidInstanceError, NotFoundError, Violation
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.repository import ModelEntry
from ondeck_server.models.catalog import ModelRef
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState

_REMEMBERED: Final = 1024  # names and versions as callers write them


def wanted(models: ModelManager, name: str, version: str, field: str = "name") -> ModelRef:
    """Read which version is meant: by number, by alias, else production, else the newest that is loaded.

    `field` is the one of the request that names the model.

    Raises:
        InvalidInstanceError: no model is named.
        NotFoundError: one is named so lengthily that there cannot be any.
    """
    if len(name) > LONGEST_NAME or len(version) > LONGEST_NAME:
        raise NotFoundError("model", f"{name}/{version}" if len(name) <= LONGEST_NAME else name)
    if version:
        return _explicit(name, version)
    if not name:
        raise InvalidInstanceError([Violation(field, "is required, for example 'batted_ball'")])
    model = _production(name)
    line = models.repository.entries.get(model.model)
    if line is None or PRODUCTION in line.aliases or not line.versions:
        return model
    return ModelRef(model=name, version=models.newest_loaded(model.model) or max(line.versions))


def loaded_versions(models: ModelManager, line: ModelEntry) -> list[int]:
    """Number the versions of a model that answer, in their order."""
    return [number for number in line.versions if models.versions[line.model, number].state is VersionState.LOADED]


@lru_cache(_REMEMBERED)
def _explicit(name: str, version: str) -> ModelRef:
    number = int(version) if version.isascii() and version.isdigit() else None
    return ModelRef(model=name, version=number, alias=version if number is None else None)


@lru_cache(_REMEMBERED)
def _production(name: str) -> ModelRef:
    return ModelRef(model=canonical(name))
