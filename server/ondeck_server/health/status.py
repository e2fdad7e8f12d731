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
    apart: Mapping[str, bool] = field(default_factory=dict)
    answering: Mapping[tuple[str, int], bool]
    wanted: Aliases
    actual: Aliases
    unloaded: Collection[str] = ()


def board(standing: ServerHealth) -> dict[str, bool]:
    """Tell for each name whether it serves.

    The whole serves if at least one model is required and all that are serve: those with a production alias, less those
    that were unloaded on purpose. An alias follows what it answers with, so that a failed newer version, which an alias
    is meant to reach and has not reached, turns nothing off.
    """
    models = {model: _production(standing, model) for model in _models(standing)}
    required = [model for model in models if _required(standing, model)]
    whole = bool(required) and all(models[model] for model in required)
    return {
        "": whole,
        **dict.fromkeys(standing.services, whole),
        **standing.apart,
        **{f"models/{model}": serves for model, serves in models.items()},
        **{f"models/{model}@{alias}": _serves(standing, model, alias) for model, alias in _names(standing)},
        **{f"models/{model}/{number}": answers for (model, number), answers in standing.answering.items()},
    }


def all_agree(here: Mapping[str, bool], whole: Mapping[str, bool] | None) -> dict[str, bool]:
    """Join the word of this process with that of all processes; None: there is no other. A name needs both."""
    if whole is None:
        return dict(here)
    return {name: here.get(name, False) and whole.get(name, False) for name in {**here, **whole}}


def _models(standing: ServerHealth) -> list[str]:
    return sorted({model for model, _ in standing.answering} | set(standing.wanted) | set(standing.actual))


def _required(standing: ServerHealth, model: str) -> bool:
    known = {**standing.wanted.get(model, {}), **standing.actual.get(model, {})}
    return PRODUCTION in known and model not in standing.unloaded


def _production(standing: ServerHealth, model: str) -> bool:
    return _serves(standing, model, PRODUCTION)


def _serves(standing: ServerHealth, model: str, alias: str) -> bool:
    number = standing.actual.get(model, {}).get(alias)
    return number is not None and standing.answering.get((model, number), False)


def _names(standing: ServerHealth) -> list[tuple[str, str]]:
    both = (standing.wanted, standing.actual)
    return sorted({(model, alias) for each in both for model, aliases in each.items() for alias in aliases})


class HealthRegistry:
    """What is told now. Whoever watches is woken by a change, and sees no more than the newest."""

    def __init__(self) -> None:
        self._told: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._leaving = False
        self._left = False
        self.watchers = 0

    @property
    def told(self) -> Mapping[str, bool]:
        """Every name with its word."""
        return self._told

    def tell(self, names: Mapping[str, bool]) -> None:
        """Say this from now on; after `leave`, whatever it is, no name serves."""
        told = dict.fromkeys(names, False) if self._leaving else dict(names)
        if told != self._told:
            self._told = told
            self._wake()

    def leave(self) -> None:
        """Say NOT_SERVING of every name, for good: the server will take no more calls."""
        self._leaving = True
        self.tell(self._told)

    def dismiss(self) -> None:
        """End every watch, so that those who only look on do not hold up the end."""
        self._left = True
        self._wake()

    async def watch(self, name: str) -> AsyncGenerator[bool | None, None]:
        """Give the word of a name and each other word after it; None: there is no such name."""
        self.watchers += 1
        try:
            last: bool | str | None = "nothing yet"
            while not self._left:
                changed, word = self._changed, self._told.get(name)
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
