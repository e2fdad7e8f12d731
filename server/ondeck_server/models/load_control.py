"""Loading and unloading of a model on request, in every process of the server."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from ondeck_core.errors import ModelNotLoadedError, NotFoundError
from ondeck_core.model_name_normalization import canonical
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState

TIMEOUT_SECONDS: Final = 60.0  # for every process to apply a request

BroadcastLoad = Callable[[str, bool], None]


class LoadControl:
    """Loads and unloads models on request.

    `broadcast` sends a request to the other processes, `server_serving` returns the aggregate health of the server.
    """

    def __init__(
        self, models: ModelManager, broadcast: BroadcastLoad, server_serving: Callable[[], Mapping[str, bool]]
    ) -> None:
        self._models = models
        self._broadcast = broadcast
        self._server_serving = server_serving

    async def set_loaded(self, name: str, *, loaded: bool) -> None:
        """Load a model as its version policy and aliases require, or unload it; wait until every process has done so.

        Raises:
            NotFoundError: there is no such model.
            ModelNotLoadedError: its versions fail verification, or some process has not applied the request in time.
        """
        model = canonical(name)
        if model not in self._models.repository.entries:
            raise NotFoundError("model", name, sorted(self._models.repository.entries))
        self._models.request_load(model, loaded=loaded)
        self._broadcast(model, loaded)
        await self._models.wait_idle()
        if loaded:
            self._check_loaded(model)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while not self._is_applied_everywhere(model, loaded=loaded):  # noqa: ASYNC110  another process reports it
                    await asyncio.sleep(0.01)
        except TimeoutError:
            last = max(self._models.repository.entries[model].versions, default=0)
            raise ModelNotLoadedError(
                model, last, "not every process of the server has applied the request yet"
            ) from None

    def _check_loaded(self, model: str) -> None:
        versions = [each for (name, _), each in self._models.versions.items() if name == model]
        if versions and all(each.state is not VersionState.LOADED for each in versions):
            last = versions[-1]
            raise ModelNotLoadedError(model, last.number, last.reason or "no alias or version policy selects it")

    def _is_applied_everywhere(self, model: str, *, loaded: bool) -> bool:
        """Return whether every process has loaded the versions that this one has, or none has."""
        serving = self._server_serving()
        here = [
            f"models/{model}/{each.number}"
            for each in self._models.versions.values()
            if each.model == model and (each.state is VersionState.LOADED or not loaded)
        ]
        return all(serving.get(name, False) is loaded for name in here)
