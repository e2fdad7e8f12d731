"""Which versions there are, as callers are told of them, and which one a caller means."""

from collections.abc import Mapping
from dataclasses import dataclass

from ondeck_core.errors import NotFoundError
from ondeck_core.evaluation import Evaluation
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION, GraphManifest, Manifest
from ondeck_registry.repository import ModelEntry
from ondeck_server.models.reconciler import VersionState, VersionStatus
from ondeck_server.models.source import Aliases, Key, RepositoryVersion

CHANGED: str = "its files have changed since it was loaded; a version is immutable, and what was loaded goes on serving"


@dataclass(frozen=True, kw_only=True)
class VersionInfo:
    """One version of a model; `aliases` point to it now, `desired_aliases` ought to; no manifest: it cannot be read."""

    model: str
    number: int
    state: VersionState
    aliases: tuple[str, ...]
    desired_aliases: tuple[str, ...] = ()
    reason: str = ""
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """Whom a caller asks: a model, and a version of it by number or by alias; neither means `production`."""

    model: str
    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True, kw_only=True)
class ResolvedVersion:
    """The version that a caller means, answering or not, and the alias through which he named it ("" by number)."""

    key: Key
    alias: str


def resolve(ref: ModelRef, entries: Mapping[str, ModelEntry], applied: Aliases) -> ResolvedVersion:
    """Find the version that is meant; an alias means the version it points to now, or else the one it ought to.

    Raises:
        NotFoundError: there is no such model or alias.
    """
    model = ref.model if ref.model in entries else canonical(ref.model)
    entry, now = entries.get(model), applied.get(model, {})
    if entry is None and not now:
        raise NotFoundError("model", ref.model, sorted(entries))
    if ref.version is not None:
        return ResolvedVersion(key=(model, ref.version), alias="")
    alias = ref.alias or PRODUCTION
    number = now.get(alias) or (entry.aliases.get(alias) if entry else None)
    if number is None:
        raise NotFoundError("alias", f"{model}@{alias}", sorted({*now, *(entry.aliases if entry else ())}))
    return ResolvedVersion(key=(model, number), alias=alias)


def describe(
    key: Key, found: RepositoryVersion | None, status: VersionStatus, reason: str, pointing: tuple[Aliases, Aliases]
) -> VersionInfo:
    """Describe a version; `pointing` are the aliases as they are and as they ought to be."""
    model, number = key
    state = (
        VersionState.REFUSED if status.state is VersionState.PRESENT and found and found.unreadable else status.state
    )
    changed = state is VersionState.LOADED and (found is None or found.stamp != status.stamp)
    return VersionInfo(
        model=model,
        number=number,
        state=state,
        aliases=_pointing_to(key, pointing[0]),
        desired_aliases=_pointing_to(key, pointing[1]),
        reason=CHANGED if changed else reason or (found.unreadable if found and state is VersionState.REFUSED else ""),
        manifest=found.manifest if found else None,
        evaluation=found.evaluation if found else None,
    )


def _pointing_to(key: Key, aliases: Aliases) -> tuple[str, ...]:
    model, number = key
    return tuple(sorted(alias for alias, target in aliases.get(model, {}).items() if target == number))
