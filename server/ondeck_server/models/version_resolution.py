"""Resolves references to versions, and describes versions to callers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ondeck_core.errors import NotFoundError
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import PRODUCTION, GraphManifest, Manifest
from ondeck_core.model_name_normalization import canonical
from ondeck_registry.repository import ModelEntry
from ondeck_server.models.reconciler import Aliases, Key, VersionState, VersionStatus
from ondeck_server.models.repository_reader import RepositoryVersion

CHANGED: Final = (
    "its files have changed since it was loaded; a version is immutable, so the loaded version keeps serving"
)


@dataclass(frozen=True, kw_only=True)
class VersionInfo:
    """One version; `aliases` are applied to it, `desired_aliases` point to it in the repository.

    Without a manifest the version cannot be read.
    """

    model: str
    number: int
    state: VersionState
    aliases: tuple[str, ...]
    desired_aliases: tuple[str, ...] = ()
    reason: str = ""
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None


class ModelRef(NamedTuple):  # made for each call, at a third of the cost of a frozen dataclass
    """A model, and a version of it by number or by alias; without either, `production`."""

    model: str
    version: int | None = None
    alias: str | None = None


class ResolvedVersion(NamedTuple):  # as ModelRef
    """The version of a reference, loaded or not, and the alias that selected it ("" if a number did)."""

    key: Key
    alias: str


def resolve(ref: ModelRef, entries: Mapping[str, ModelEntry], applied: Aliases) -> ResolvedVersion:
    """Resolve a reference; an alias that is not applied yet resolves as the repository has it.

    Raises:
        NotFoundError: there is no such model or alias.
    """
    model = ref.model if ref.model in entries else canonical(ref.model)
    entry, applied_aliases = entries.get(model), applied.get(model, {})
    if entry is None and not applied_aliases:
        raise NotFoundError("model", ref.model, sorted(entries))
    if ref.version is not None:
        return ResolvedVersion(key=(model, ref.version), alias="")
    alias = ref.alias or PRODUCTION
    number = applied_aliases.get(alias) or (entry.aliases.get(alias) if entry else None)
    if number is None:
        known = sorted({*applied_aliases, *(entry.aliases if entry else ())})
        raise NotFoundError("alias", f"{model}@{alias}", known)
    return ResolvedVersion(key=(model, number), alias=alias)


def describe(
    key: Key, found: RepositoryVersion | None, status: VersionStatus, *, applied: Aliases, desired: Aliases
) -> VersionInfo:
    """Describe a version; `found` is None if its folder was removed."""
    model, number = key
    is_unreadable = status.state is VersionState.PRESENT and found is not None and bool(found.unreadable)
    is_tried_again = status.state is VersionState.LOADING and bool(status.reason)
    state = VersionState.REFUSED if is_unreadable or is_tried_again else status.state
    reason = status.reason
    if state is VersionState.LOADED and (found is None or found.stamp != status.stamp):
        reason = CHANGED
    elif not reason and found and state is VersionState.REFUSED:
        reason = found.unreadable
    return VersionInfo(
        model=model,
        number=number,
        state=state,
        aliases=_aliases_of(key, applied),
        desired_aliases=_aliases_of(key, desired),
        reason=reason,
        manifest=found.manifest if found else None,
        evaluation=found.evaluation if found else None,
    )


def _aliases_of(key: Key, aliases: Aliases) -> tuple[str, ...]:
    model, number = key
    return tuple(sorted(alias for alias, target in aliases.get(model, {}).items() if target == number))
