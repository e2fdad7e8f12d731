"""Metadata responses: the server, its models, the repository index and the statistics of versions."""

from collections.abc import Mapping
from importlib.metadata import version as version_of
from types import MappingProxyType
from typing import Final

from inference.grpc_service_pb2 import (
    InferStatistics,
    ModelMetadataResponse,
    ModelStatistics,
    RepositoryIndexResponse,
    RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest,
    ServerMetadataResponse,
    StatisticDuration,
)
from inference.model_config_pb2 import (
    DataType,
    ModelConfig,
    ModelDynamicBatching,
    ModelInput,
    ModelOutput,
    ModelQueuePolicy,
    ModelTransactionPolicy,
    ModelVersionPolicy,
)
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.manifest import MODEL_FILE, Tensor
from ondeck_server.batching.inference_stats import InferenceStats
from ondeck_server.models.servable import LoadedGraph
from ondeck_server.models.version_resolution import VersionInfo
from ondeck_server.services.open_inference.decode import HIGH_PRIORITY, MAX_ROWS

READY: Final = "READY"
_STATES: Final = {"LOADED": READY, "LOADING": "LOADING", "UNLOADING": "UNLOADING"}
_SUPPORTED_PARAMETERS: Final = frozenset({"unload_dependents"})
_OVERRIDE: Final = "versions are immutable: configuration and files cannot be overridden"
NAME: Final = "ondeck"
PLATFORM: Final = "onnxruntime_onnx"
BACKEND: Final = "onnxruntime"
EXTENSIONS: Final = (
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "statistics",
)
_TYPES: Final[Mapping[str, "DataType.ValueType"]] = MappingProxyType(
    {name.removeprefix("TYPE_"): value for name, value in DataType.items()}
)


def server_metadata() -> ServerMetadataResponse:
    """Return name, version and extensions of the server."""
    return ServerMetadataResponse(name=NAME, version=version_of("ondeck-server"), extensions=EXTENSIONS)


def model_metadata(loaded: LoadedGraph, versions: list[int]) -> ModelMetadataResponse:
    """Return the input and output tensors of a version; `versions` are the loaded ones of its model."""
    session = loaded.session
    return ModelMetadataResponse(
        name=loaded.manifest.model,
        versions=map(str, versions),
        platform=PLATFORM,
        inputs=[_tensor(each) for each in session.inputs],
        outputs=[_tensor(each) for each in session.outputs],
    )


def model_config(loaded: LoadedGraph, versions: list[int]) -> ModelConfig:
    """Return the same as a model configuration, whose dimensions omit the batch dimension."""
    session = loaded.session
    return ModelConfig(
        name=loaded.manifest.model,
        platform=PLATFORM,
        backend=BACKEND,
        version_policy=ModelVersionPolicy(specific=ModelVersionPolicy.Specific(versions=versions)),
        max_batch_size=MAX_ROWS,
        input=[ModelInput(name=t.name, data_type=_TYPES[t.datatype], dims=t.shape[1:]) for t in session.inputs],
        output=[ModelOutput(name=t.name, data_type=_TYPES[t.datatype], dims=t.shape[1:]) for t in session.outputs],
        default_model_filename=MODEL_FILE,
        dynamic_batching=ModelDynamicBatching(
            priority_levels=HIGH_PRIORITY + 1,
            default_priority_level=HIGH_PRIORITY + 1,
            default_queue_policy=ModelQueuePolicy(allow_timeout_override=True),
        ),
        model_transaction_policy=ModelTransactionPolicy(decoupled=False),
    )


def _tensor(tensor: Tensor) -> ModelMetadataResponse.TensorMetadata:
    return ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def index_entry(version: VersionInfo) -> RepositoryIndexResponse.ModelIndex:
    """Return one version and its state."""
    state = _STATES.get(version.state.name, "UNAVAILABLE")
    reason = "" if state == READY else version.reason or "not loaded"
    return RepositoryIndexResponse.ModelIndex(
        name=version.model, version=str(version.number), state=state, reason=reason
    )


def fault_entry(model: str, reason: str) -> RepositoryIndexResponse.ModelIndex:
    """Return a model of which a part is set aside; the entry has no version."""
    return RepositoryIndexResponse.ModelIndex(name=model, state="UNAVAILABLE", reason=reason)


def check_repository(name: str) -> None:
    """Check that a request names no other repository.

    Raises:
        InvalidInstanceError: it does.
    """
    if name:
        raise InvalidInstanceError([Violation("repository_name", "must be empty: the server has one repository")])


def requested_model(request: RepositoryModelLoadRequest | RepositoryModelUnloadRequest) -> str:
    """Return the model that a request loads or unloads.

    Raises:
        InvalidInstanceError: it names no model or another repository, or has a parameter that is not supported.
    """
    check_repository(request.repository_name)
    violations = [
        Violation(f"parameters.{name}", _OVERRIDE)
        for name in sorted(request.parameters)
        if name not in _SUPPORTED_PARAMETERS
    ]
    if not request.model_name:
        violations.append(Violation("model_name", "is required"))
    if violations:
        raise InvalidInstanceError(violations)
    return request.model_name


def statistics(version: VersionInfo, stats: InferenceStats) -> ModelStatistics:
    """Return the counters of a version."""

    def of_runs(nanoseconds: int) -> StatisticDuration:
        return StatisticDuration(count=stats.batched_calls, ns=nanoseconds)

    return ModelStatistics(
        name=version.model,
        version=str(version.number),
        last_inference=stats.last_inference_ms,
        inference_count=stats.inference_count,
        execution_count=stats.execution_count,
        inference_stats=InferStatistics(
            success=StatisticDuration(count=stats.success_count, ns=stats.success_ns),
            fail=StatisticDuration(count=stats.fail_count, ns=stats.fail_ns),
            queue=of_runs(stats.queue_ns),
            compute_input=of_runs(stats.compute_input_ns),
            compute_infer=of_runs(stats.compute_infer_ns),
            compute_output=of_runs(stats.compute_output_ns),
            cache_hit=StatisticDuration(),
            cache_miss=StatisticDuration(),
        ),
    )
