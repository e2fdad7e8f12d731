"""What a worker serves over gRPC, put together."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from ondeck_server import transport
from ondeck_server.batching.batcher import Manners
from ondeck_server.health import health_names
from ondeck_server.loading_rules import rules_of
from ondeck_server.models.manager import Models
from ondeck_server.models.policy import State
from ondeck_server.players import Players
from ondeck_server.predictor import Predictor
from ondeck_server.rpc.adapter import Adapter
from ondeck_server.rpc.model_service import ModelHandlers
from ondeck_server.rpc.player_service import PlayerHandlers
from ondeck_server.rpc.prediction_service import PredictionHandlers
from ondeck_server.settings import ServerSettings
from ondeck_server.talk import Report

PREDICTION: Final = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
MODELS: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
PLAYERS: Final = player_service_pb2.DESCRIPTOR.services_by_name["PlayerService"]
SERVICES: Final = (PREDICTION.full_name, MODELS.full_name)
HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the services of a worker stand on."""

    settings: ServerSettings
    models: Models
    players: Players
    health: health_aio.HealthServicer
    registry: CollectorRegistry


def open_models(settings: ServerSettings, registry: CollectorRegistry) -> Models:
    """Make what looks at the repository; it has not looked yet."""
    manners = Manners(
        max_waiting_rows=settings.max_waiting_rows,
        budget_seconds=settings.batch_budget_ms / 1000,
        long_runs=ThreadPoolExecutor(1, thread_name_prefix="long-run"),
    )
    return Models(settings.models, rules_of(settings.versions), manners, registry)


@asynccontextmanager
async def taking_calls(parts: Parts, port: int) -> AsyncIterator[None]:
    """Take calls on a port that other workers share, for as long as the block; then drain.

    Raises:
        CannotListenError: the port cannot be listened on.
        CertificatesRefusedError: what should secure the connections cannot.
    """
    server = _server(parts)
    transport.bind(server, parts.settings, port)
    await server.start()
    try:
        yield
    finally:
        await server.stop(parts.settings.drain_seconds)


def report_of(models: Models, players: Players, *, listening: bool) -> Report:
    """Tell the supervisor what a worker has and serves."""
    serving = models.serving()
    missing = [f"models/{model} does not serve" for model, serves in serving.items() if not serves]
    versions = models.versions.values()
    return Report(
        settled=True,
        listening=listening,
        serving={**health_names(SERVICES, serving), PLAYERS.full_name: players.ready},
        missing=tuple(missing if serving else ["no model has a production version"]),
        loaded=tuple(f"{each.model} {each.number}" for each in versions if each.state is State.LOADED),
        refused={f"{each.model} {each.number}": each.reason for each in versions if each.state is State.REFUSED},
        wanted={model: dict(line.aliases) for model, line in models.repository.lines.items()},
        actual=models.actual,
    )


def _server(parts: Parts) -> grpc.aio.Server:
    longest = parts.settings.max_message_mb * MEBIBYTE
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1), *transport.options(parts.settings)])
    adapter = Adapter(parts.registry)
    predictor = Predictor(parts.models, parts.registry)
    server.add_generic_rpc_handlers(
        (
            adapter.serve(PREDICTION, PredictionHandlers(predictor, longest)),
            adapter.serve(MODELS, ModelHandlers(parts.models)),
            adapter.serve(PLAYERS, PlayerHandlers(parts.players)),
        )
    )
    add_HealthServicer_to_server(parts.health, server)
    reflection.enable_server_reflection((*SERVICES, PLAYERS.full_name, HEALTH, reflection.SERVICE_NAME), server)
    return server
