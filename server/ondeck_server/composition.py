"""The composition root of a worker: creates its services and its transport, and derives its status."""

import math
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from grpc_reflection.v1alpha import reflection_pb2

from inference import grpc_service_pb2
from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from ondeck_registry.onnx_session import RunLimiter
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.batching.batcher import BatchingConfig
from ondeck_server.batching.sliced_work import SlicedWork
from ondeck_server.health.status import HealthRegistry, ServerHealth, statuses
from ondeck_server.inference.predictor import Predictor
from ondeck_server.inference.served_predictions import PredictionSample
from ondeck_server.ipc.messages import WorkerStatus
from ondeck_server.models.load_control import BroadcastLoad, LoadControl
from ondeck_server.models.manager import LoadTrial, ModelManager
from ondeck_server.models.reconciler import VersionState, parse_policy
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.rpc.transport import Services, Transport
from ondeck_server.security.operators import OperatorList
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.health import HEALTH, HealthService
from ondeck_server.services.models.service import ModelService
from ondeck_server.services.open_inference.service import OpenInferenceService
from ondeck_server.services.players.service import PlayerService
from ondeck_server.services.prediction.service import PredictionService
from ondeck_server.services.reflection import ReflectionService
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.http2.server import Http2Server

PREDICTION: Final = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
MODELS: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
PLAYERS: Final = player_service_pb2.DESCRIPTOR.services_by_name["PlayerService"]
REFLECTION: Final = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
OPEN_INFERENCE: Final = grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
SERVICES: Final = (PREDICTION.full_name, MODELS.full_name, OPEN_INFERENCE.full_name)
SERVED: Final[tuple[ServiceDescriptor, ...]] = (PREDICTION, MODELS, PLAYERS, OPEN_INFERENCE, HEALTH, REFLECTION)


@dataclass(frozen=True, kw_only=True)
class Components:
    """The parts that the services of a worker use; `broadcast_load` sends a load request to the other workers.

    `sample`: predictions are added to it; None: none is recorded.
    """

    settings: ServerSettings
    models: ModelManager
    players: PlayerDirectory
    health: HealthRegistry
    metrics: MetricsBlock
    broadcast_load: BroadcastLoad
    sample: PredictionSample | None = None


def open_models(settings: ServerSettings, metrics: MetricsBlock, trial: LoadTrial | None = None) -> ModelManager:
    """Create the model manager; it has not read the repository yet."""
    batching = BatchingConfig(
        max_queued_rows=settings.max_queued_rows,
        max_queued_bulk_rows=settings.max_queued_bulk_rows,
        max_queue_delay_seconds=settings.max_queue_delay_ms / 1000,
        max_run_seconds=settings.max_run_seconds,
        executor=ThreadPoolExecutor(1, thread_name_prefix="long-run"),
        suspect_executor=ThreadPoolExecutor(1, thread_name_prefix="suspect-run"),
        call_limited=RunLimiter().call,
        sliced_work=SlicedWork(),
    )
    return ModelManager(
        settings.model_repository,
        parse_policy(settings.version_policy),
        batching,
        metrics,
        trial=trial,
    )


@asynccontextmanager
async def accept_calls(components: Components, port: int) -> AsyncIterator[Transport]:
    """Accept calls within the block, on a port that other workers share; then drain.

    Raises:
        CannotListenError: the port cannot be bound.
        InvalidCertificatesError: the TLS files are missing or invalid.
    """
    transport = create_transport(_services(components), components.settings, components.metrics)
    await transport.listen(port)
    try:
        yield transport
    finally:
        components.health.end_watches()
        await transport.stop(components.settings.drain_seconds)


def create_transport(services: Services, settings: ServerSettings, block: MetricsBlock) -> Transport:
    """Return the transport that the settings name, with the methods of the services."""
    metrics = CallMetrics(block)
    slow_seconds = settings.slow_call_seconds or math.inf
    methods = [
        each if each.client_streaming or each.server_streaming else replace(each, slow_seconds=slow_seconds)
        for service, handlers in services
        for each in methods_of(service, handlers, metrics)
    ]
    if settings.transport == "nghttp2":
        return Http2Server(methods, settings, metrics)
    from ondeck_server.transports.grpcio.server import GrpcioServer  # noqa: PLC0415  grpcio is large, and not the default

    return GrpcioServer(methods, settings, metrics)


def worker_status(models: ModelManager, players: PlayerDirectory, *, listening: bool) -> WorkerStatus:
    """Return the status that a worker sends to the supervisor."""
    versions = models.versions.values()
    health = server_health(models, players)
    serving = statuses(health)
    return WorkerStatus(
        ready=True,
        listening=listening,
        serving=serving,
        missing=_missing(models, serving),
        loaded=tuple(f"{each.model} {each.number}" for each in versions if each.state is VersionState.LOADED),
        refused=models.faults()
        | {f"{each.model} {each.number}": each.reason for each in versions if each.state is VersionState.REFUSED},
        desired=health.desired,
        applied=health.applied,
    )


def _missing(models: ModelManager, serving: Mapping[str, bool]) -> tuple[str, ...]:
    """List the reasons why a worker is not ready; there is none if and only if the server as a whole serves."""
    if serving[""]:
        return ()
    with_production = models.serving()
    required = [model for model in with_production if model not in models.unloaded]
    if not required:
        return ("every model was unloaded on request" if with_production else "no model has a production version",)
    return tuple(f"models/{model} does not serve" for model in required if not serving[f"models/{model}"])


def server_health(models: ModelManager, players: PlayerDirectory) -> ServerHealth:
    """Return the state from which health statuses are computed."""
    return ServerHealth(
        services=SERVICES,
        independent={PLAYERS.full_name: players.is_loaded},
        loaded={key: version.state is VersionState.LOADED for key, version in models.versions.items()},
        desired={model: entry.aliases for model, entry in models.repository.entries.items()},
        applied=models.applied_aliases,
        unloaded=models.unloaded,
    )


def _services(components: Components) -> Services:
    max_message_bytes = components.settings.max_message_mib << 20
    operators = OperatorList(components.settings.operators)
    limiter = GcraLimiter(rows_per_second=components.settings.rate_limit_rows_per_second)
    predictor = Predictor(components.models)
    return (
        (OPEN_INFERENCE, _open_inference(components, operators, limiter)),
        (PREDICTION, PredictionService(predictor, max_message_bytes, limiter, components.sample)),
        (MODELS, ModelService(components.models, operators)),
        (PLAYERS, PlayerService(components.players)),
        (HEALTH, HealthService(components.health)),
        (REFLECTION, ReflectionService(SERVED)),
    )


def _open_inference(components: Components, operators: OperatorList, limiter: GcraLimiter) -> OpenInferenceService:
    health = components.health

    def is_serving() -> bool:
        return health.statuses.get("", False)

    load_control = LoadControl(components.models, components.broadcast_load, lambda: health.statuses)
    return OpenInferenceService(components.models, load_control, operators, is_serving, limiter)
