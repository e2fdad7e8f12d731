"""The handlers of `inference.GRPCInferenceService`."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from inference.grpc_service_pb2 import (
    ModelConfigRequest,
    ModelConfigResponse,
    ModelInferRequest,
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
from ondeck_core.model_name_normalization import canonical
from ondeck_server.batching.inference_stats import InferenceStats
from ondeck_server.models.load_control import LoadControl
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState
from ondeck_server.models.version_resolution import VersionInfo
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.method import allow_fields
from ondeck_server.security.operators import OperatorList
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.open_inference.inference import PendingInference, TensorInference
from ondeck_server.services.open_inference.metadata import (
    check_repository,
    fault_entry,
    index_entry,
    model_config,
    model_metadata,
    requested_model,
    server_metadata,
    statistics,
)
from ondeck_server.services.open_inference.selection import loaded_versions, select_version

_MAX_FIELDS: Final = 1024  # a graph may have hundreds of outputs, and a request names each with two


class OpenInferenceService:
    """One method for each rpc; `is_ready` returns whether the whole server is ready."""

    def __init__(
        self,
        models: ModelManager,
        load_control: LoadControl,
        operators: OperatorList,
        is_ready: Callable[[], bool],
        rate_limiter: GcraLimiter,
    ) -> None:
        self._models = models
        self._load_control = load_control
        self._operators = operators
        self._is_ready = is_ready
        self._inference = TensorInference(models, rate_limiter)

    async def server_live(self, _: CallContext, __: ServerLiveRequest) -> ServerLiveResponse:
        """Return that the server is live."""
        return ServerLiveResponse(live=True)

    async def server_ready(self, _: CallContext, __: ServerReadyRequest) -> ServerReadyResponse:
        """Return whether every model with a production version serves."""
        return ServerReadyResponse(ready=self._is_ready())

    async def model_ready(self, _: CallContext, request: ModelReadyRequest) -> ModelReadyResponse:
        """Return whether a model is loaded; an unknown model is not."""
        try:
            version = self._models.find(select_version(self._models, request.name, request.version))
        except (InvalidInstanceError, NotFoundError):
            return ModelReadyResponse(ready=False)
        return ModelReadyResponse(ready=version.state is VersionState.LOADED)

    async def server_metadata(self, _: CallContext, __: ServerMetadataRequest) -> ServerMetadataResponse:
        """Return name, version and extensions of the server."""
        return server_metadata()

    async def model_metadata(self, _: CallContext, request: ModelMetadataRequest) -> ModelMetadataResponse:
        """Return the input and output tensors of a model."""
        with self._models.lease(select_version(self._models, request.name, request.version)) as lease:
            return model_metadata(lease.servable.loaded, self._loaded(lease.servable.loaded.manifest.model))

    async def model_config(self, _: CallContext, request: ModelConfigRequest) -> ModelConfigResponse:
        """Return the configuration of a model."""
        with self._models.lease(select_version(self._models, request.name, request.version)) as lease:
            config = model_config(lease.servable.loaded, self._loaded(lease.servable.loaded.manifest.model))
            return ModelConfigResponse(config=config)

    @allow_fields(_MAX_FIELDS)
    def model_infer(self, call: CallContext, request: ModelInferRequest) -> PendingInference:
        """Run a model on tensors."""
        return self._inference.start(request, call)

    @allow_fields(_MAX_FIELDS)
    def model_stream_infer(
        self, call: CallContext, requests: AsyncIterator[ModelInferRequest]
    ) -> AsyncGenerator[ModelStreamInferResponse, None]:
        """Run models on tensors as they arrive; respond in their order."""
        return self._inference.stream(requests, call)

    async def model_statistics(self, _: CallContext, request: ModelStatisticsRequest) -> ModelStatisticsResponse:
        """Return the counters of versions."""
        return ModelStatisticsResponse(
            model_stats=[
                statistics(version, self._models.stats.get((version.model, version.number), InferenceStats()))
                for version in self._select_versions(request.name, request.version)
            ]
        )

    async def repository_index(self, _: CallContext, request: RepositoryIndexRequest) -> RepositoryIndexResponse:
        """List versions and their states."""
        check_repository(request.repository_name)
        return RepositoryIndexResponse(
            models=[
                *(
                    index_entry(version)
                    for _, version in sorted(self._models.versions.items())
                    if version.state is VersionState.LOADED or not request.ready
                ),
                *(fault_entry(*fault) for fault in self._models.faults().items() if not request.ready),
            ]
        )

    async def repository_model_load(
        self, call: CallContext, request: RepositoryModelLoadRequest
    ) -> RepositoryModelLoadResponse:
        """Load a model in every worker."""
        model = requested_model(request)
        self._operators.authorize(call)
        await self._load_control.set_loaded(model, loaded=True)
        with self._models.lease(select_version(self._models, model, "")):
            return RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, call: CallContext, request: RepositoryModelUnloadRequest
    ) -> RepositoryModelUnloadResponse:
        """Unload a model in every worker."""
        model = requested_model(request)
        self._operators.authorize(call)
        await self._load_control.set_loaded(model, loaded=False)
        return RepositoryModelUnloadResponse()

    def _loaded(self, model: str) -> list[int]:
        return loaded_versions(self._models, self._models.repository.entries[model])

    def _select_versions(self, name: str, version: str) -> list[VersionInfo]:
        if name and version:
            return [self._models.find(select_version(self._models, name, version))]
        if name and canonical(name) not in self._models.repository.entries:
            raise NotFoundError("model", name, sorted(self._models.repository.entries))
        return [
            each
            for _, each in sorted(self._models.versions.items())
            if each.state is VersionState.LOADED and (not name or each.model == canonical(name))
        ]
