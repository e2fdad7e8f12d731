"""Which version a caller of the Open Inference Protocol means: a number, an alias, or nothing at all."""

from functools import lru_cache
from typing import Final

from ondeck_core.errors import LONGEST_NAME, InvalidInstanceError, NotFoundError, Violation
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.repository import Line
from ondeck_server.models.catalog import Wanted
from ondeck_server.models.manager import Models
from ondeck_server.models.reconciler import State

_REMEMBERED: Final = 1024  # names and versions as callers write them


def wanted(models: Models, name: str, version: str, field: str = "name") -> Wanted:
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
    line = models.repository.lines.get(model.model)
    if line is None or PRODUCTION in line.aliases or not line.versions:
        return model
    return Wanted(model=name, version=models.newest_answering(model.model) or max(line.versions))


def loaded_versions(models: Models, line: Line) -> list[int]:
    """Number the versions of a model that answer, in their order."""
    return [number for number in line.versions if models.versions[line.model, number].state is State.LOADED]


@lru_cache(_REMEMBERED)
def _explicit(name: str, version: str) -> Wanted:
    number = int(version) if version.isascii() and version.isdigit() else None
    return Wanted(model=name, version=number, alias=version if number is None else None)


@lru_cache(_REMEMBERED)
def _production(name: str) -> Wanted:
    return Wanted(model=canonical(name))
