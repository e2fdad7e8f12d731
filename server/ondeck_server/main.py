"""The server's life: load, listen, say so; on SIGTERM say no, drain, leave. The order is the shape of the code."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from inference import grpc_service_pb2
from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from ondeck_core.errors import OndeckError
from ondeck_server.admin import admin_pages
from ondeck_server.graphs import Graphs
from ondeck_server.health import health_names, tell, tell_one
from ondeck_server.models.manager import Models, State
from ondeck_server.players import Players
from ondeck_server.predictor import Predictor
from ondeck_server.rpc.adapter import Adapter
from ondeck_server.rpc.model_service import ModelHandlers
from ondeck_server.rpc.open_inference.service import OpenInferenceHandlers
from ondeck_server.rpc.player_service import PlayerHandlers
from ondeck_server.rpc.prediction_service import PredictionHandlers
from ondeck_server.settings import ServerSettings

PREDICTION: Final = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
MODELS: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
PLAYERS: Final = player_service_pb2.DESCRIPTOR.services_by_name["PlayerService"]
OPEN_INFERENCE: Final = grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
SERVICES: Final = (PREDICTION.full_name, MODELS.full_name, OPEN_INFERENCE.full_name)
HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
MEBIBYTE: Final = 1 << 20

log = structlog.get_logger()


class CannotListenError(OndeckError):
    """Something else listens where the server should, or the address is none of this machine."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """Where a server listens, and what it serves."""

    address: str
    admin: str
    serving: tuple[str, ...]
    missing: tuple[str, ...]


async def serve(settings: ServerSettings, started: Callable[[Started], None]) -> None:
    """Serve until SIGTERM or SIGINT; `started` is told once, when calls are taken.

    Raises:
        CannotListenError: a port is in use, or the host is none of this machine.
        ArtifactRefusedError: the repository itself cannot be read.
    """
    stop = _stop_signal()
    registry = CollectorRegistry()
    models = await asyncio.to_thread(Models, settings.models)
    names = health_names(SERVICES, models.serving())
    health = health_aio.HealthServicer()
    draining = asyncio.Event()
    players = Players(settings, changed=lambda: tell_one(health, PLAYERS.full_name, serves=True))
    async with AsyncExitStack() as stack:
        unready = _unready(models, draining)
        admin_port = await stack.enter_async_context(_admin(settings, unready, registry))
        port = await stack.enter_async_context(_grpc(settings, models, players, health, registry))
        stack.push_async_callback(asyncio.sleep, settings.notice_seconds)
        stack.push_async_callback(health.enter_graceful_shutdown)
        stack.callback(draining.set)
        await tell(health, {**names, PLAYERS.full_name: False})
        await stack.enter_async_context(players.kept_fresh())
        started(
            Started(
                address=address_of(settings.host, port),
                admin=f"http://{address_of(settings.host, admin_port)}",
                serving=tuple(f"{v.model} {v.number}" for v in models.versions.values() if v.state is State.LOADED),
                missing=tuple(unready()),
            )
        )
        await stop.wait()
        log.info("draining", notice_seconds=settings.notice_seconds, seconds=settings.drain_seconds)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _unready(models: Models, draining: asyncio.Event) -> Callable[[], list[str]]:
    def reasons() -> list[str]:
        serving = models.serving()
        found = ["draining"] if draining.is_set() else []
        if not serving:
            found.append("no model has a production version")
        return found + [f"models/{model} does not serve" for model, serves in serving.items() if not serves]

    return reasons


@asynccontextmanager
async def _admin(
    settings: ServerSettings, unready: Callable[[], list[str]], registry: CollectorRegistry
) -> AsyncIterator[int]:
    async with AsyncExitStack() as stack:
        pages = admin_pages(settings.host, settings.admin_port, unready, registry)
        try:
            port = await stack.enter_async_context(pages)
        except OSError as failed:
            where = address_of(settings.host, settings.admin_port)
            raise _cannot_listen(where, f" ({failed.strerror})", "ONDECK_ADMIN_PORT or --admin-port") from failed
        yield port


@asynccontextmanager
async def _grpc(
    settings: ServerSettings,
    models: Models,
    players: Players,
    health: health_aio.HealthServicer,
    registry: CollectorRegistry,
) -> AsyncIterator[int]:
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", settings.max_message_mb * MEBIBYTE),
            ("grpc.max_send_message_length", settings.max_message_mb * MEBIBYTE),
        ]
    )
    adapter = Adapter(registry)
    predictor = Predictor(models, settings.max_waiting_rows, registry)
    server.add_generic_rpc_handlers(
        (
            adapter.serve(PREDICTION, PredictionHandlers(predictor, settings.max_message_mb * MEBIBYTE)),
            adapter.serve(MODELS, ModelHandlers(models)),
            adapter.serve(PLAYERS, PlayerHandlers(players)),
            adapter.serve(
                OPEN_INFERENCE, OpenInferenceHandlers(models, Graphs(settings.max_waiting_rows), models.ready)
            ),
        )
    )
    add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((*SERVICES, PLAYERS.full_name, HEALTH, reflection.SERVICE_NAME), server)
    port = _bind(server, settings)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(settings.drain_seconds)


def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    where = address_of(settings.host, settings.port)
    try:
        return server.add_insecure_port(where)
    except RuntimeError as failed:
        raise _cannot_listen(where, "", "ONDECK_PORT or --port") from failed


def _cannot_listen(where: str, reason: str, choice: str) -> CannotListenError:
    return CannotListenError(
        f"cannot listen on {where}{reason}; choose another port with {choice}, "
        "or an address of this machine with ONDECK_HOST or --host"
    )


def address_of(host: str, port: int) -> str:
    """Write a host and a port as one address; IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
