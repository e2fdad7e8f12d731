"""Health that tells the truth: what is known becomes a word for each name, and whoever watches a name gets the newest.

Names are "" for the whole, the full name of each service, `models/NAME` (what `production` answers with),
`models/NAME@ALIAS` and `models/NAME/VERSION`.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field

from ondeck_core.manifest import PRODUCTION

Aliases = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class ServerHealth:
    """What is known of a server at one moment.

    `services` serve if the whole does; `apart` are services with a word of their own. `answering` tells of each
    version (model, number) whether it is loaded. `wanted` and `actual` are the aliases of each model: as they are
    written down, and as they answer. `unloaded` are models that someone asked to have unloaded: nobody misses them.
    """

    services: tuple[str, ...]
    independent: Mapping[str, bool] = field(default_factory=dict)
    loaded: Mapping[tuple[str, int], bool]
    desired: Aliases
    applied: Aliases
    unloaded: Collection[str] = ()


def statuses(health: ServerHealth) -> dict[str, bool]:
    """Tell for each name whether it serves.

    The whole serves if at least one model is required and all that are serve: those with a production alias, less those
    that were unloaded on purpose. An alias follows what it answers with, so that a failed newer version, which an alias
    is meant to reach and has not reached, turns nothing off.
    """
    models = {model: _production(health, model) for model in _models(health)}
    required = [model for model in models if _required(health, model)]
    whole = bool(required) and all(models[model] for model in required)
    return {
        "": whole,
        **dict.fromkeys(health.services, whole),
        **health.independent,
        **{f"models/{model}": serves for model, serves in models.items()},
        **{f"models/{model}@{alias}": _serves(health, model, alias) for model, alias in _names(health)},
        **{f"models/{model}/{number}": answers for (model, number), answers in health.loaded.items()},
    }


def merge_statuses(here: Mapping[str, bool], whole: Mapping[str, bool] | None) -> dict[str, bool]:
    """Join the word of this process with that of all processes; None: there is no other. A name needs both."""
    if whole is None:
        return dict(here)
    return {name: here.get(name, False) and whole.get(name, False) for name in {**here, **whole}}


def _models(health: ServerHealth) -> list[str]:
    return sorted({model for model, _ in health.loaded} | set(health.desired) | set(health.applied))


def _required(health: ServerHealth, model: str) -> bool:
    known = {**health.desired.get(model, {}), **health.applied.get(model, {})}
    return PRODUCTION in known and model not in health.unloaded


def _production(health: ServerHealth, model: str) -> bool:
    return _serves(health, model, PRODUCTION)


def _serves(health: ServerHealth, model: str, alias: str) -> bool:
    number = health.applied.get(model, {}).get(alias)
    return number is not None and health.loaded.get((model, number), False)


def _names(health: ServerHealth) -> list[tuple[str, str]]:
    both = (health.desired, health.applied)
    return sorted({(model, alias) for each in both for model, aliases in each.items() for alias in aliases})


class HealthRegistry:
    """What is statuses now. Whoever watches is woken by a change, and sees no more than the newest."""

    def __init__(self) -> None:
        self._statuses: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._is_shutting_down = False
        self._is_closed = False
        self.watchers = 0

    @property
    def statuses(self) -> Mapping[str, bool]:
        """Every name with its word."""
        return self._statuses

    def update(self, names: Mapping[str, bool]) -> None:
        """Say this from now on; after `leave`, whatever it is, no name serves."""
        statuses = dict.fromkeys(names, False) if self._is_shutting_down else dict(names)
        if statuses != self._statuses:
            self._statuses = statuses
            self._wake()

    def enter_graceful_shutdown(self) -> None:
        """Say NOT_SERVING of every name, for good: the server will take no more calls."""
        self._is_shutting_down = True
        self.update(self._statuses)

    def end_watches(self) -> None:
        """End every watch, so that those who only look on do not hold up the end."""
        self._is_closed = True
        self._wake()

    async def watch(self, name: str) -> AsyncGenerator[bool | None, None]:
        """Give the word of a name and each other word after it; None: there is no such name."""
        self.watchers += 1
        try:
            last: bool | str | None = "nothing yet"
            while not self._is_closed:
                changed, word = self._changed, self._statuses.get(name)
                if word != last:
                    last = word
                    yield word
                else:
                    await changed.wait()
        finally:
            self.watchers -= 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
