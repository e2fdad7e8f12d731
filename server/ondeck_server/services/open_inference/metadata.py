"""What a server and its models are, in this protocol's words."""

from collections.abc import Mapping
from importlib.metadata import version as version_of
from types import MappingProxyType
from typing import Final

from inference.grpc_service_pb2 import ModelMetadataResponse, ServerMetadataResponse
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
from ondeck_core.manifest import MODEL_FILE, Tensor
from ondeck_server.models.servable import LoadedGraph
from ondeck_server.services.open_inference.decode import FIRST, MOST_ROWS

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
    """Tell what the server is."""
    return ServerMetadataResponse(name=NAME, version=version_of("ondeck-server"), extensions=EXTENSIONS)


def model_metadata(loaded: LoadedGraph, versions: list[int]) -> ModelMetadataResponse:
    """Tell which tensors a version takes and gives; `versions` are those of its model that answer."""
    session = loaded.session
    return ModelMetadataResponse(
        name=loaded.manifest.model,
        versions=map(str, versions),
        platform=PLATFORM,
        inputs=[_tensor(each) for each in session.inputs],
        outputs=[_tensor(each) for each in session.outputs],
    )


def model_config(loaded: LoadedGraph, versions: list[int]) -> ModelConfig:
    """Tell the same as a configuration, whose dimensions leave the rows out."""
    session = loaded.session
    return ModelConfig(
        name=loaded.manifest.model,
        platform=PLATFORM,
        backend=BACKEND,
        version_policy=ModelVersionPolicy(specific=ModelVersionPolicy.Specific(versions=versions)),
        max_batch_size=MOST_ROWS,
        input=[ModelInput(name=t.name, data_type=_TYPES[t.datatype], dims=t.shape[1:]) for t in session.inputs],
        output=[ModelOutput(name=t.name, data_type=_TYPES[t.datatype], dims=t.shape[1:]) for t in session.outputs],
        default_model_filename=MODEL_FILE,
        dynamic_batching=ModelDynamicBatching(
            priority_levels=FIRST + 1,
            default_priority_level=FIRST + 1,
            default_queue_policy=ModelQueuePolicy(allow_timeout_override=True),
        ),
        model_transaction_policy=ModelTransactionPolicy(decoupled=False),
    )


def _tensor(tensor: Tensor) -> ModelMetadataResponse.TensorMetadata:
    return ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
