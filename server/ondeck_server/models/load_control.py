"""Models loaded and unloaded for a caller: asked of every process of the server, and waited for."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from ondeck_core.errors import ModelNotLoadedError, NotFoundError
from ondeck_core.identifiers import canonical
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState
from ondeck_server.security.authorization import OperatorList
from ondeck_server.security.identity import Caller

LONGEST_SECONDS: Final = 60.0  # for every process to follow

Tell = Callable[[str, bool], None]


class LoadControl:
    """Has models loaded or not; `tell` lets the other processes know, `whole` says what all of them serve."""

    def __init__(
        self, models: ModelManager, operators: OperatorList, tell: Tell, whole: Callable[[], Mapping[str, bool]]
    ) -> None:
        self._models = models
        self._operators = operators
        self._tell = tell
        self._whole = whole

    async def wish(self, caller: Caller, name: str, *, loaded: bool) -> None:
        """Have a model loaded as its rule and aliases say, or unloaded, and wait until it is.

        Raises:
            NotIdentifiedError, NotOperatorError: the caller may not.
            NotFoundError: there is no such model.
            ModelNotLoadedError: its versions do not pass their checks, or not every process has followed in time.
        """
        self._operators.admit(caller)
        model = canonical(name)
        if model not in self._models.repository.lines:
            raise NotFoundError("model", name, sorted(self._models.repository.lines))
        self._models.wish(model, loaded=loaded)
        self._tell(model, loaded)
        await self._models.settle()
        if loaded:
            self._expect_loaded(model)
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while not self._all_follow(model, loaded=loaded):  # noqa: ASYNC110  the whole's word comes from elsewhere
                    await asyncio.sleep(0.01)
        except TimeoutError:
            last = max(self._models.repository.lines[model].versions, default=0)
            raise ModelNotLoadedError(model, last, "not every process of the server has followed yet") from None

    def _expect_loaded(self, model: str) -> None:
        versions = [each for (name, _), each in self._models.versions.items() if name == model]
        if versions and all(each.state is not VersionState.LOADED for each in versions):
            last = versions[-1]
            raise ModelNotLoadedError(model, last.number, last.reason or "no alias points to it, nor does a rule")

    def _all_follow(self, model: str, *, loaded: bool) -> bool:
        """Tell whether all processes have, or none has, what this one has."""
        whole = self._whole()
        here = [
            f"models/{model}/{each.number}"
            for each in self._models.versions.values()
            if each.model == model and (each.state is VersionState.LOADED or not loaded)
        ]
        return all(whole.get(name, False) is loaded for name in here)
