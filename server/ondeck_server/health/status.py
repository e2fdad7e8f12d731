"""Health statuses: computed from the state of the models, and watched by clients.

Names are "" for the whole server, the full name of each service, `models/NAME` (its version in production),
`models/NAME@ALIAS` and `models/NAME/VERSION`.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field

from ondeck_core.manifest import PRODUCTION

Aliases = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class ServerHealth:
    """The state from which health statuses are computed.

    `services` serve if the whole server does; `independent` maps the other services to their own status. `loaded` maps
    each version (model, number) to whether it is loaded. `desired` and `applied` are the aliases of each model, in the
    repository and in this server. `unloaded` are models that were unloaded on request: they are not required.
    """

    services: tuple[str, ...]
    independent: Mapping[str, bool] = field(default_factory=dict)
    loaded: Mapping[tuple[str, int], bool]
    desired: Aliases
    applied: Aliases
    unloaded: Collection[str] = ()


def statuses(health: ServerHealth) -> dict[str, bool]:
    """Map each name to whether it serves.

    The whole server serves if at least one model does, and every model that has a version in production here: one that
    was never loaded, since its version is refused or missing, takes nothing away from the others, nor does one that was
    unloaded on request. An alias has the status of the version that it is applied to, so a newer version that fails to
    load changes no status.
    """
    models = {model: _serves(health, model, PRODUCTION) for model in _models(health)}
    required = [model for model in models if _is_required(health, model)]
    whole = bool(required) and all(models[model] for model in required)
    return {
        "": whole,
        **dict.fromkeys(health.services, whole),
        **health.independent,
        **{f"models/{model}": serves for model, serves in models.items()},
        **{f"models/{model}@{alias}": _serves(health, model, alias) for model, alias in _aliases(health)},
        **{f"models/{model}/{number}": is_loaded for (model, number), is_loaded in health.loaded.items()},
    }


def _models(health: ServerHealth) -> list[str]:
    return sorted({model for model, _ in health.loaded} | set(health.desired) | set(health.applied))


def _is_required(health: ServerHealth, model: str) -> bool:
    return PRODUCTION in health.applied.get(model, {}) and model not in health.unloaded


def _serves(health: ServerHealth, model: str, alias: str) -> bool:
    number = health.applied.get(model, {}).get(alias)
    return number is not None and health.loaded.get((model, number), False)


def _aliases(health: ServerHealth) -> list[tuple[str, str]]:
    both = (health.desired, health.applied)
    return sorted({(model, alias) for each in both for model, aliases in each.items() for alias in aliases})


class HealthRegistry:
    """The current statuses; a change wakes the watchers, which read the newest status only."""

    def __init__(self) -> None:
        self._statuses: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._is_shutting_down = False
        self._is_closed = False
        self.watchers = 0

    @property
    def statuses(self) -> Mapping[str, bool]:
        """The status of every name."""
        return self._statuses

    def update(self, statuses: Mapping[str, bool]) -> None:
        """Set the statuses; after `enter_graceful_shutdown` every one becomes False."""
        statuses = dict.fromkeys(statuses, False) if self._is_shutting_down else dict(statuses)
        if statuses != self._statuses:
            self._statuses = statuses
            self._wake()

    def enter_graceful_shutdown(self) -> None:
        """Set every status to False from now on, since the server shuts down."""
        self._is_shutting_down = True
        self.update(self._statuses)

    def end_watches(self) -> None:
        """End every watch, so that watching clients do not delay the shutdown."""
        self._is_closed = True
        self._wake()

    async def watch(self, name: str) -> AsyncGenerator[bool | None, None]:
        """Yield the status of a name, and again after each change; None: there is no such name."""
        self.watchers += 1
        try:
            last: bool | str | None = "none yet"
            while not self._is_closed:
                changed, status = self._changed, self._statuses.get(name)
                if status != last:
                    last = status
                    yield status
                else:
                    await changed.wait()
        finally:
            self.watchers -= 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
