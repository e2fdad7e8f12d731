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
from ondeck_server.batching.batcher import Manners
from ondeck_server.health.status import Health, Standing, board
from ondeck_server.inference.predictor import Predictor
from ondeck_server.ipc.messages import Report
from ondeck_server.models.load_control import Tell, Wishes
from ondeck_server.models.manager import Models
from ondeck_server.models.reconciler import State
from ondeck_server.players.directory import Players
from ondeck_server.security.authorization import Operators
from ondeck_server.security.rate_limit import Rates
from ondeck_server.services.health import HealthHandlers
from ondeck_server.services.health_messages import HEALTH
from ondeck_server.services.models.service import ModelHandlers
from ondeck_server.services.open_inference.service import OpenInferenceHandlers
from ondeck_server.services.players.service import PlayerHandlers
from ondeck_server.services.prediction.service import PredictionHandlers
from ondeck_server.services.reflection import ReflectionHandlers
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.factory import Carrier, Services, carrier_of
from ondeck_server.transports.grpcio.options import MEBIBYTE
from ondeck_server.version_policy import rules_of

PREDICTION: Final = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
MODELS: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
PLAYERS: Final = player_service_pb2.DESCRIPTOR.services_by_name["PlayerService"]
REFLECTION: Final = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
OPEN_INFERENCE: Final = grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
SERVICES: Final = (PREDICTION.full_name, MODELS.full_name, OPEN_INFERENCE.full_name)
SERVED: Final[tuple[ServiceDescriptor, ...]] = (PREDICTION, MODELS, PLAYERS, OPEN_INFERENCE, HEALTH, REFLECTION)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the services of a worker stand on."""

    settings: ServerSettings
    models: Models
    players: Players
    health: Health
    registry: CollectorRegistry
    tell_wish: Tell


def open_models(settings: ServerSettings, registry: CollectorRegistry) -> Models:
    """Make what looks at the repository; it has not looked yet."""
    manners = Manners(
        max_waiting_rows=settings.max_waiting_rows,
        budget_seconds=settings.batch_budget_ms / 1000,
        long_runs=ThreadPoolExecutor(1, thread_name_prefix="long-run"),
    )
    return Models(settings.models, rules_of(settings.versions), manners, registry)


@asynccontextmanager
async def taking_calls(parts: Parts, port: int) -> AsyncIterator[Carrier]:
    """Take calls on a port that other workers share, for as long as the block; then drain.

    Raises:
        CannotListenError: the port cannot be listened on.
        CertificatesRefusedError: what should secure the connections cannot.
    """
    carrier = carrier_of(_services(parts), parts.settings, parts.registry)
    await carrier.listen(port)
    try:
        yield carrier
    finally:
        parts.health.dismiss()
        await carrier.stop(parts.settings.drain_seconds)


def report_of(models: Models, players: Players, *, listening: bool) -> Report:
    """Tell the supervisor what a worker has and serves."""
    versions = models.versions.values()
    standing = standing_of(models, players)
    return Report(
        settled=True,
        listening=listening,
        serving=board(standing),
        missing=_missing(models),
        loaded=tuple(f"{each.model} {each.number}" for each in versions if each.state is State.LOADED),
        refused={f"{each.model} {each.number}": each.reason for each in versions if each.state is State.REFUSED},
        wanted=standing.wanted,
        actual=standing.actual,
    )


def _missing(models: Models) -> tuple[str, ...]:
    """List what keeps a worker from being ready, in agreement with what health says of the whole."""
    there = models.serving()
    required = {model: serves for model, serves in there.items() if model not in models.unloaded}
    if not required:
        return ("every model was unloaded on request" if there else "no model has a production version",)
    return tuple(f"models/{model} does not serve" for model, serves in required.items() if not serves)


def standing_of(models: Models, players: Players) -> Standing:
    """Tell what health is made of."""
    return Standing(
        services=SERVICES,
        apart={PLAYERS.full_name: players.ready},
        answering={key: version.state is State.LOADED for key, version in models.versions.items()},
        wanted={model: line.aliases for model, line in models.repository.lines.items()},
        actual=models.actual,
        unloaded=models.unloaded,
    )


def _services(parts: Parts) -> Services:
    longest = parts.settings.max_message_mb * MEBIBYTE
    operators = Operators(parts.settings.operators)
    rates = Rates(rows_per_second=parts.settings.rows_per_second_per_peer)
    predictor = Predictor(parts.models, parts.registry)
    return (
        (OPEN_INFERENCE, _open_inference(parts, operators, rates)),
        (PREDICTION, PredictionHandlers(predictor, longest, rates)),
        (MODELS, ModelHandlers(parts.models, operators)),
        (PLAYERS, PlayerHandlers(parts.players)),
        (HEALTH, HealthHandlers(parts.health)),
        (REFLECTION, ReflectionHandlers(SERVED)),
    )


def _open_inference(parts: Parts, operators: Operators, rates: Rates) -> OpenInferenceHandlers:
    told = parts.health
    wishes = Wishes(parts.models, operators, parts.tell_wish, lambda: told.told)
    return OpenInferenceHandlers(parts.models, wishes, lambda: told.told.get("", False), rates)
