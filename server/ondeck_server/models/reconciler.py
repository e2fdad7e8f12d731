"""The reconciler: compares the desired state of versions and aliases with the actual one and returns the next action.

The desired state follows from the repository and the version policy, `latest:1`, `whiff=all` or `vote=3+4`. Pure
functions: the model manager performs the actions.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Final, TypeAlias

from ondeck_registry.repository import ModelEntry

Key: TypeAlias = tuple[str, int]  # a model and the number of a version
Stamp: TypeAlias = tuple[tuple[str, int, int], ...]  # of each file its name, size and modification time (ns)
Aliases: TypeAlias = Mapping[str, Mapping[str, int]]  # by model and alias

POLICY_FORMAT: Final = (
    "latest:N, all, aliases (no others) or numbers such as 3+4; MODEL=… for one model; separated by commas"
)
_ENTRY: Final = re.compile(r"(?:(?P<model>[a-z][a-z0-9_]{0,63})=)?(?P<rule>latest:\d{1,4}|all|aliases|\d+(?:\+\d+)*)")
_ALL: Final = 10**9


@dataclass(frozen=True, kw_only=True)
class VersionSelector:
    """Selects the newest `latest` versions of a model, and those with these numbers."""

    latest: int = 0
    numbers: frozenset[int] = frozenset()

    def select(self, versions: tuple[int, ...]) -> frozenset[int]:
        """Select among the published versions."""
        newest = sorted(versions)[-self.latest :] if self.latest else []
        return frozenset(newest) | (self.numbers & frozenset(versions))


@dataclass(frozen=True, kw_only=True)
class VersionPolicy:
    """The versions to load besides those with an alias: a selector for every model."""

    default: VersionSelector
    by_model: dict[str, VersionSelector]

    def selector(self, model: str) -> VersionSelector:
        """Return the selector of a model."""
        return self.by_model.get(model, self.default)


def parse_policy(text: str) -> VersionPolicy:
    """Parse a version policy.

    Raises:
        ValueError: the text does not have the format `POLICY_FORMAT`.
    """
    found = [_ENTRY.fullmatch(entry.strip()) for entry in text.split(",")]
    if not all(found):
        raise ValueError(f"should be {POLICY_FORMAT}")
    by_model = {entry["model"]: _parse_selector(entry["rule"]) for entry in found if entry}
    default = by_model.pop(None, VersionSelector(latest=1))
    return VersionPolicy(default=default, by_model=by_model)


def _parse_selector(text: str) -> VersionSelector:
    if text == "all":
        return VersionSelector(latest=_ALL)
    if text == "aliases":
        return VersionSelector()
    if text.startswith("latest:"):
        return VersionSelector(latest=int(text.removeprefix("latest:")))
    return VersionSelector(numbers=frozenset(map(int, text.split("+"))))


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """The desired state: the published versions with their stamps, those to load, and the aliases to apply."""

    stamps: Mapping[Key, Stamp]
    loaded: frozenset[Key]
    aliases: Aliases


def desired_state(
    entries: Mapping[str, ModelEntry], stamps: Mapping[Key, Stamp], policy: VersionPolicy, unloaded: frozenset[str]
) -> DesiredState:
    """Compute the desired state; models that were `unloaded` on request have no versions and no aliases in it."""
    selected = {model: entry for model, entry in entries.items() if model not in unloaded}
    return DesiredState(
        stamps=stamps,
        loaded=frozenset(
            (model, number)
            for model, entry in selected.items()
            for number in policy.selector(model).select(entry.versions)
            | (set(entry.aliases.values()) & set(entry.versions))
        ),
        aliases={model: entry.aliases for model, entry in selected.items()},
    )


class VersionState(Enum):
    """The state of a version in this process."""

    PRESENT = "present"
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """The state of a version, the stamp of its files then, and why it was refused; new files lift a refusal.

    With `is_retried` the next read of the repository lifts it, too.
    """

    state: VersionState
    stamp: Stamp = ()
    reason: str = ""
    is_retried: bool = False


@dataclass(frozen=True, kw_only=True)
class SetAlias:
    """Apply an alias to a loaded version."""

    model: str
    alias: str
    number: int


@dataclass(frozen=True, kw_only=True)
class ClearAlias:
    """Remove an applied alias."""

    model: str
    alias: str


@dataclass(frozen=True, kw_only=True)
class LoadVersion:
    """Verify and load a version."""

    key: Key


@dataclass(frozen=True, kw_only=True)
class UnloadVersion:
    """Unload a version once its last lease is released."""

    key: Key


Action: TypeAlias = SetAlias | ClearAlias | LoadVersion | UnloadVersion


def next_action(desired: DesiredState, statuses: Mapping[Key, VersionStatus], applied: Aliases) -> Action | None:
    """Return the next action: apply aliases first, then load one version at a time, then unload what is not needed.

    A version with an applied alias is never unloaded, even if its folder was removed: it serves until its successor is
    loaded.
    """
    by_priority: tuple[Iterator[Action], ...] = (
        _set_aliases(desired, statuses, applied),
        _clear_aliases(desired, applied),
        _load_versions(desired, statuses),
        _unload_versions(desired, statuses, applied),
    )
    return next(chain.from_iterable(by_priority), None)


def _set_aliases(desired: DesiredState, statuses: Mapping[Key, VersionStatus], applied: Aliases) -> Iterator[SetAlias]:
    for model, aliases in sorted(desired.aliases.items()):
        for alias, number in sorted(aliases.items()):
            status = statuses.get((model, number))
            is_loaded = status is not None and status.state is VersionState.LOADED
            if is_loaded and applied.get(model, {}).get(alias) != number:
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
    aliased = {(model, number) for model, aliases in applied.items() for number in aliases.values()}
    for key, status in sorted(statuses.items()):
        if status.state is VersionState.LOADED and key not in desired.loaded and key not in aliased:
            yield UnloadVersion(key=key)
