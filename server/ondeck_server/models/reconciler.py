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


def next_action(aspired: DesiredState, standings: Mapping[Key, VersionStatus], actual: Aliases) -> Action | None:
    """Choose what to do first: aliases follow at once, one version is loaded at a time, then the unneeded ones go.

    A version that an alias points to now is never unloaded, whatever has become of its folder: it serves until
    another can.
    """
    in_order: tuple[Iterator[Action], ...] = (
        _points(aspired, standings, actual),
        _drops(aspired, actual),
        _loads(aspired, standings),
        _unloads(aspired, standings, actual),
    )
    return next(chain.from_iterable(in_order), None)


def _points(aspired: DesiredState, standings: Mapping[Key, VersionStatus], actual: Aliases) -> Iterator[SetAlias]:
    for model, aliases in sorted(aspired.aliases.items()):
        for alias, number in sorted(aliases.items()):
            answers = _state(standings, (model, number)) is VersionState.LOADED
            if answers and actual.get(model, {}).get(alias) != number:
                yield SetAlias(model=model, alias=alias, number=number)


def _drops(aspired: DesiredState, actual: Aliases) -> Iterator[ClearAlias]:
    for model, aliases in sorted(actual.items()):
        for alias in sorted(set(aliases) - set(aspired.aliases.get(model, {}))):
            yield ClearAlias(model=model, alias=alias)


def _loads(aspired: DesiredState, standings: Mapping[Key, VersionStatus]) -> Iterator[LoadVersion]:
    if any(standing.state is VersionState.LOADING for standing in standings.values()):
        return
    aliased = {(model, number) for model, aliases in aspired.aliases.items() for number in aliases.values()}
    for key in sorted(aspired.loaded, key=lambda key: (key not in aliased, key[0], -key[1])):
        if _may_load(standings.get(key), aspired.stamps.get(key, ())):
            yield LoadVersion(key=key)


def _may_load(standing: VersionStatus | None, stamp: Stamp) -> bool:
    if standing is None or standing.state is VersionState.PRESENT:
        return True
    return standing.state is VersionState.REFUSED and standing.stamp != stamp


def _unloads(aspired: DesiredState, standings: Mapping[Key, VersionStatus], actual: Aliases) -> Iterator[UnloadVersion]:
    held = {(model, number) for model, aliases in actual.items() for number in aliases.values()}
    for key, standing in sorted(standings.items()):
        if standing.state is VersionState.LOADED and key not in aspired.loaded and key not in held:
            yield UnloadVersion(key=key)


def _state(standings: Mapping[Key, VersionStatus], key: Key) -> VersionState:
    return standings[key].state if key in standings else VersionState.PRESENT
