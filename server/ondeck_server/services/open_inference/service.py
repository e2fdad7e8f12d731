"""The handlers of `inference.GRPCInferenceService`."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from inference.grpc_service_pb2 import (
    ModelConfigRequest,
    ModelConfigResponse,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ModelStatisticsRequest,
    ModelStatisticsResponse,
    ModelStreamInferResponse,
    RepositoryIndexRequest,
    RepositoryIndexResponse,
    RepositoryModelLoadRequest,
    RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse,
    ServerLiveRequest,
    ServerLiveResponse,
    ServerMetadataRequest,
    ServerMetadataResponse,
    ServerReadyRequest,
    ServerReadyResponse,
)
from ondeck_core.errors import InvalidInstanceError, NotFoundError
from ondeck_core.identifiers import canonical
from ondeck_server.batching.batcher import InferenceStats
from ondeck_server.models.catalog import VersionInfo
from ondeck_server.models.load_control import LoadControl
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.authorization import OperatorList
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.open_inference.inference import TensorInference
from ondeck_server.services.open_inference.metadata import model_config, model_metadata, server_metadata
from ondeck_server.services.open_inference.repository import check_repository, index_entry, model_to_move, statistics
from ondeck_server.services.open_inference.selection import loaded_versions, wanted


class OpenInferenceService:
    """Answers tensors; one method for each rpc. `ready` tells whether the whole server is."""

    def __init__(
        self,
        models: ModelManager,
        load_control: LoadControl,
        operators: OperatorList,
        ready: Callable[[], bool],
        rates: GcraLimiter,
    ) -> None:
        self._models = models
        self._load_control = load_control
        self._operators = operators
        self._ready = ready
        self._inferring = TensorInference(models, rates)

    async def server_live(self, _: CallContext, __: ServerLiveRequest) -> ServerLiveResponse:
        """Say that the server answers."""
        return ServerLiveResponse(live=True)

    async def server_ready(self, _: CallContext, __: ServerReadyRequest) -> ServerReadyResponse:
        """Tell whether every model that should serve does."""
        return ServerReadyResponse(ready=self._ready())

    async def model_ready(self, _: CallContext, request: ModelReadyRequest) -> ModelReadyResponse:
        """Tell whether a model can be asked; one that there is not cannot."""
        try:
            version = self._models.find(wanted(self._models, request.name, request.version))
        except (InvalidInstanceError, NotFoundError):
            return ModelReadyResponse(ready=False)
        return ModelReadyResponse(ready=version.state is VersionState.LOADED)

    async def server_metadata(self, _: CallContext, __: ServerMetadataRequest) -> ServerMetadataResponse:
        """Tell what the server is."""
        return server_metadata()

    async def model_metadata(self, _: CallContext, request: ModelMetadataRequest) -> ModelMetadataResponse:
        """Tell which tensors a model takes and gives."""
        with self._models.lease(wanted(self._models, request.name, request.version)) as lease:
            return model_metadata(lease.servable.loaded, self._loaded(lease.servable.loaded.manifest.model))

    async def model_config(self, _: CallContext, request: ModelConfigRequest) -> ModelConfigResponse:
        """Tell how a model is set up."""
        with self._models.lease(wanted(self._models, request.name, request.version)) as lease:
            config = model_config(lease.servable.loaded, self._loaded(lease.servable.loaded.manifest.model))
            return ModelConfigResponse(config=config)

    async def model_infer(self, call: CallContext, request: ModelInferRequest) -> ModelInferResponse:
        """Run a model on tensors."""
        return await self._inferring.infer(request, call)

    def model_stream_infer(
        self, call: CallContext, requests: AsyncIterator[ModelInferRequest]
    ) -> AsyncGenerator[ModelStreamInferResponse, None]:
        """Run models on tensors as they come, and answer in their order."""
        return self._inferring.stream(requests, call)

    async def model_statistics(self, _: CallContext, request: ModelStatisticsRequest) -> ModelStatisticsResponse:
        """Tell what versions did."""
        return ModelStatisticsResponse(
            model_stats=[
                statistics(version, self._models.stats.get((version.model, version.number), InferenceStats()))
                for version in self._asked_about(request.name, request.version)
            ]
        )

    async def repository_index(self, _: CallContext, request: RepositoryIndexRequest) -> RepositoryIndexResponse:
        """List versions and their states."""
        check_repository(request.repository_name)
        return RepositoryIndexResponse(
            models=[
                index_entry(version)
                for _, version in sorted(self._models.versions.items())
                if version.state is VersionState.LOADED or not request.ready
            ]
        )

    async def repository_model_load(
        self, call: CallContext, request: RepositoryModelLoadRequest
    ) -> RepositoryModelLoadResponse:
        """Load a model, in every process."""
        model = model_to_move(request)
        self._operators.authorize(call)
        await self._load_control.set_loaded(model, loaded=True)
        with self._models.lease(wanted(self._models, model, "")):
            return RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, call: CallContext, request: RepositoryModelUnloadRequest
    ) -> RepositoryModelUnloadResponse:
        """Let go of a model, in every process."""
        model = model_to_move(request)
        self._operators.authorize(call)
        await self._load_control.set_loaded(model, loaded=False)
        return RepositoryModelUnloadResponse()

    def _loaded(self, model: str) -> list[int]:
        return loaded_versions(self._models, self._models.repository.entries[model])

    def _asked_about(self, name: str, version: str) -> list[VersionInfo]:
        if name and version:
            return [self._models.find(wanted(self._models, name, version))]
        if name and canonical(name) not in self._models.repository.entries:
            raise NotFoundError("model", name, sorted(self._models.repository.entries))
        return [
            each
            for _, each in sorted(self._models.versions.items())
            if each.state is VersionState.LOADED and (not name or each.model == canonical(name))
        ]
