"""What a worker serves over gRPC, put together."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from grpc_reflection.v1alpha import reflection_pb2
from prometheus_client import CollectorRegistry

from inference import grpc_service_pb2
from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from ondeck_server.batching.batcher import BatchingConfig
from ondeck_server.health.status import HealthRegistry, ServerHealth, statuses
from ondeck_server.inference.predictor import Predictor
from ondeck_server.ipc.messages import WorkerStatus
from ondeck_server.models.load_control import BroadcastLoad, LoadControl
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState, parse_policy
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.rpc.transport import Services, Transport
from ondeck_server.security.authorization import OperatorList
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.health import HEALTH, HealthService
from ondeck_server.services.models.service import ModelService
from ondeck_server.services.open_inference.service import OpenInferenceService
from ondeck_server.services.players.service import PlayerService
from ondeck_server.services.prediction.service import PredictionService
from ondeck_server.services.reflection import ReflectionService
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.grpcio.server import GrpcioServer
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
    """What the services of a worker stand on."""

    settings: ServerSettings
    models: ModelManager
    players: PlayerDirectory
    health: HealthRegistry
    registry: CollectorRegistry
    broadcast_load: BroadcastLoad


def open_models(settings: ServerSettings, registry: CollectorRegistry) -> ModelManager:
    """Make what looks at the repository; it has not looked yet."""
    batching = BatchingConfig(
        max_queued_rows=settings.max_queued_rows,
        max_queue_delay_seconds=settings.max_queue_delay_ms / 1000,
        long_runs=ThreadPoolExecutor(1, thread_name_prefix="long-run"),
    )
    return ModelManager(settings.model_repository, parse_policy(settings.version_policy), batching, registry)


@asynccontextmanager
async def accept_calls(parts: Components, port: int) -> AsyncIterator[Transport]:
    """Take calls on a port that other workers share, for as long as the block; then drain.

    Raises:
        CannotListenError: the port cannot be listened on.
        InvalidCertificatesError: what should secure the connections cannot.
    """
    transport = create_transport(_services(parts), parts.settings, parts.registry)
    await transport.listen(port)
    try:
        yield transport
    finally:
        parts.health.end_watches()
        await transport.stop(parts.settings.drain_seconds)


def create_transport(services: Services, settings: ServerSettings, registry: CollectorRegistry) -> Transport:
    """Return the transport that the settings name, with the methods of the services."""
    metrics = CallMetrics(registry)
    methods = [each for service, handlers in services for each in methods_of(service, handlers, metrics)]
    return Http2Server(methods, settings) if settings.transport == "nghttp2" else GrpcioServer(methods, settings)


def worker_status(models: ModelManager, players: PlayerDirectory, *, listening: bool) -> WorkerStatus:
    """Tell the supervisor what a worker has and serves."""
    versions = models.versions.values()
    health = server_health(models, players)
    return WorkerStatus(
        ready=True,
        listening=listening,
        serving=statuses(health),
        missing=_missing(models),
        loaded=tuple(f"{each.model} {each.number}" for each in versions if each.state is VersionState.LOADED),
        refused={f"{each.model} {each.number}": each.reason for each in versions if each.state is VersionState.REFUSED},
        desired=health.desired,
        applied=health.applied,
    )


def _missing(models: ModelManager) -> tuple[str, ...]:
    """List what keeps a worker from being ready, in agreement with what health says of the whole."""
    there = models.serving()
    required = {model: serves for model, serves in there.items() if model not in models.unloaded}
    if not required:
        return ("every model was unloaded on request" if there else "no model has a production version",)
    return tuple(f"models/{model} does not serve" for model, serves in required.items() if not serves)


def server_health(models: ModelManager, players: PlayerDirectory) -> ServerHealth:
    """Tell what health is made of."""
    return ServerHealth(
        services=SERVICES,
        independent={PLAYERS.full_name: players.is_loaded},
        loaded={key: version.state is VersionState.LOADED for key, version in models.versions.items()},
        desired={model: line.aliases for model, line in models.repository.entries.items()},
        applied=models.applied_aliases,
        unloaded=models.unloaded,
    )


def _services(parts: Components) -> Services:
    longest = parts.settings.max_message_mib << 20
    operators = OperatorList(parts.settings.operators)
    rates = GcraLimiter(rows_per_second=parts.settings.rate_limit_rows_per_second)
    predictor = Predictor(parts.models, parts.registry)
    return (
        (OPEN_INFERENCE, _open_inference(parts, operators, rates)),
        (PREDICTION, PredictionService(predictor, longest, rates)),
        (MODELS, ModelService(parts.models, operators)),
        (PLAYERS, PlayerService(parts.players)),
        (HEALTH, HealthService(parts.health)),
        (REFLECTION, ReflectionService(SERVED)),
    )


def _open_inference(parts: Components, operators: OperatorList, rates: GcraLimiter) -> OpenInferenceService:
    health = parts.health
    load_control = LoadControl(parts.models, parts.broadcast_load, lambda: health.statuses)
    return OpenInferenceService(parts.models, load_control, operators, lambda: health.statuses.get("", False), rates)
