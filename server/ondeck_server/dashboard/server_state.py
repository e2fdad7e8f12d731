"""The state of versions and workers as the dashboard shows it, from the last statuses of the workers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ondeck_server.ipc.messages import WorkerStatus

LOADED: Final = "loaded"
LOADING: Final = "loading"
REFUSED: Final = "refused"
SET_ASIDE: Final = "set aside"


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """A worker process: its phase, and the seconds since its start and its last heartbeat (None: not monitored)."""

    pid: int
    phase: str
    age_seconds: float
    heartbeat_age_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """A version: its state, in how many of the workers it is loaded, its aliases, and why it is refused.

    `pending_aliases` point to it in the repository, and not yet in every worker. `version` is None for a model of which
    a part is set aside.
    """

    model: str
    version: int | None
    state: str
    loaded_in: int
    workers: int
    aliases: tuple[str, ...] = ()
    pending_aliases: tuple[str, ...] = ()
    reason: str = ""


def version_rows(statuses: Sequence[WorkerStatus]) -> list[VersionRow]:
    """Return a row for each version that a worker has loaded, refuses, or should load for an alias."""
    names = {name for status in statuses for name in (*status.loaded, *status.refused)}
    keys = {_parse(name) for name in names} | {
        (model, number)
        for status in statuses
        for model, aliases in status.desired.items()
        for number in aliases.values()
    }
    return [_row(statuses, *key) for key in sorted(keys, key=lambda key: (key[0], -(key[1] or 0)))]


def _row(statuses: Sequence[WorkerStatus], model: str, number: int | None) -> VersionRow:
    name = model if number is None else f"{model} {number}"
    loaded_in = sum(name in status.loaded for status in statuses)
    reason = next((status.refused[name] for status in statuses if name in status.refused), "")
    applied = [_aliases(status.applied.get(model, {}), number) for status in statuses]
    desired = {alias for status in statuses for alias in _aliases(status.desired.get(model, {}), number)}
    everywhere = set.intersection(*applied) if applied else set()
    return VersionRow(
        model=model,
        version=number,
        state=_state(number, loaded_in, len(statuses), reason),
        loaded_in=loaded_in,
        workers=len(statuses),
        aliases=tuple(sorted(everywhere)),
        pending_aliases=tuple(sorted(desired - everywhere)),
        reason=reason,
    )


def _state(number: int | None, loaded_in: int, workers: int, reason: str) -> str:
    if number is None:
        return SET_ASIDE
    if reason:
        return REFUSED
    return LOADED if loaded_in == workers else LOADING


def _aliases(aliases: Mapping[str, int], number: int | None) -> set[str]:
    return {alias for alias, each in aliases.items() if each == number}


def _parse(name: str) -> tuple[str, int | None]:
    """Split `model number`, the name of a version in a status; one without number is a model."""
    model, _, number = name.partition(" ")
    return model, int(number) if number.isdecimal() else None
