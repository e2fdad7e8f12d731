"""The policy: what ought to be and what is, in; at most one thing to do, out. Nothing is done here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import TypeAlias

from ondeck_server.models.source import Aliases, DesiredState, Key, Stamp


class VersionState(Enum):
    """Whether a version can answer."""

    PRESENT = "present"
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """How a version stands; a refusal holds for the files that were refused."""

    state: VersionState
    stamp: Stamp = ()


@dataclass(frozen=True, kw_only=True)
class SetAlias:
    """Let an alias point to a version that answers."""

    model: str
    alias: str
    number: int


@dataclass(frozen=True, kw_only=True)
class ClearAlias:
    """Let an alias point nowhere."""

    model: str
    alias: str


@dataclass(frozen=True, kw_only=True)
class LoadVersion:
    """Open and verify a version."""

    key: Key


@dataclass(frozen=True, kw_only=True)
class UnloadVersion:
    """Close a version once nobody holds a lease on it."""

    key: Key


Action: TypeAlias = SetAlias | ClearAlias | LoadVersion | UnloadVersion


def next_action(desired: DesiredState, statuses: Mapping[Key, VersionStatus], applied: Aliases) -> Action | None:
    """Choose what to do first: aliases follow at once, one version is loaded at a time, then the unneeded ones go.

    A version that an alias points to now is never unloaded, whatever has become of its folder: it serves until
    another can.
    """
    in_order: tuple[Iterator[Action], ...] = (
        _set_aliases(desired, statuses, applied),
        _clear_aliases(desired, applied),
        _load_versions(desired, statuses),
        _unload_versions(desired, statuses, applied),
    )
    return next(chain.from_iterable(in_order), None)


def _set_aliases(desired: DesiredState, statuses: Mapping[Key, VersionStatus], applied: Aliases) -> Iterator[SetAlias]:
    for model, aliases in sorted(desired.aliases.items()):
        for alias, number in sorted(aliases.items()):
            answers = _state(statuses, (model, number)) is VersionState.LOADED
            if answers and applied.get(model, {}).get(alias) != number:
                yield SetAlias(model=model, alias=alias, number=number)


def _clear_aliases(desired: DesiredState, applied: Aliases) -> Iterator[ClearAlias]:
    for model, aliases in sorted(applied.items()):
        for alias in sorted(set(aliases) - set(desired.aliases.get(model, {}))):
            yield ClearAlias(model=model, alias=alias)


def _load_versions(desired: DesiredState, statuses: Mapping[Key, VersionStatus]) -> Iterator[LoadVersion]:
    if any(status.state is VersionState.LOADING for status in statuses.values()):
        return
    aliased = {(model, number) for model, aliases in desired.aliases.items() for number in aliases.values()}
    for key in sorted(desired.loaded, key=lambda key: (key not in aliased, key[0], -key[1])):
        if _is_loadable(statuses.get(key), desired.stamps.get(key, ())):
            yield LoadVersion(key=key)


def _is_loadable(status: VersionStatus | None, stamp: Stamp) -> bool:
    if status is None or status.state is VersionState.PRESENT:
        return True
    return status.state is VersionState.REFUSED and status.stamp != stamp


def _unload_versions(
    desired: DesiredState, statuses: Mapping[Key, VersionStatus], applied: Aliases
) -> Iterator[UnloadVersion]:
    held = {(model, number) for model, aliases in applied.items() for number in aliases.values()}
    for key, status in sorted(statuses.items()):
        if status.state is VersionState.LOADED and key not in desired.loaded and key not in held:
            yield UnloadVersion(key=key)


def _state(statuses: Mapping[Key, VersionStatus], key: Key) -> VersionState:
    return statuses[key].state if key in statuses else VersionState.PRESENT
