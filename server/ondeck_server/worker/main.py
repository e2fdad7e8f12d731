"""A worker: one of the processes that serve calls, controlled by the supervisor over a socket pair.

`python -m ondeck_server.worker FD METRICS`: FD is this process's end of the pair. A worker exits when the other is
closed. METRICS is the memory for its metrics, which the supervisor reads.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog
import uvloop

from ondeck_core.errors import ArtifactRefusedError, OndeckError
from ondeck_registry.file_reader import UnreadableFileError
from ondeck_registry.version_optimizer import SHIPPED, Optimization
from ondeck_runtime.logging import configure_logging, set_log_level
from ondeck_runtime.metrics import MetricsBlock, inherited_block
from ondeck_runtime.process_metrics import ProcessMetrics
from ondeck_runtime.tasks import TaskMonitor, wait_first
from ondeck_runtime.tracing import start_tracing, stop_tracing
from ondeck_server.composition import Components, accept_calls, open_models, worker_status
from ondeck_server.health.status import HealthRegistry
from ondeck_server.inference.sample_writer import SampleWriter, has_database
from ondeck_server.inference.served_predictions import SAMPLED_ROWS, PredictionSample
from ondeck_server.ipc.channel import Channel, open_channel
from ondeck_server.ipc.messages import (
    TO_WORKER,
    ChannelzRequest,
    ChannelzResponse,
    FromSupervisor,
    Heartbeat,
    LoadRequest,
    PlayersFile,
    RetireWorker,
    ServerState,
    SetLogLevel,
    StartDraining,
    StartListening,
    StartWorker,
    TrialRequest,
    TrialResult,
    WorkerFailed,
)
from ondeck_server.models.repository_reader import RepositoryVersion, watch_repository
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.rpc.transport import Transport
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import raise_descriptor_limit

FAILED: Final = 1
PROGRAM: Final = "server"
_GC_THRESHOLDS: Final = (10_000, 20, 20)
_POLL_SECONDS: Final = 0.1
_HEARTBEATS_PER_TIMEOUT: Final = 10

log = structlog.get_logger()


class CommandsFailedError(OndeckError):
    """A command of the supervisor failed; another worker takes the place of one that cannot be controlled."""


class WorkerMain:
    """One run of a worker: load the models, listen on request, stop on request or when the supervisor exits."""

    def __init__(self, channel: Channel[FromSupervisor], start: StartWorker, metrics: MetricsBlock) -> None:
        self._channel = channel
        self._start = start
        self._settings = ServerSettings.model_validate(start.settings)
        start_tracing(self._settings.otlp_endpoint, PROGRAM)
        self._health = HealthRegistry()
        self._tasks = TaskMonitor(metrics)
        self._players = PlayerDirectory(changed=self._on_players_changed)
        self._metrics = metrics
        self._trials = TrialClient(channel.send)
        trial = self._trials.run if self._settings.load_cpu_seconds else None
        self._models = open_models(self._settings, metrics, trial)
        self._listen = asyncio.Event()
        self._retire = asyncio.Event()
        self._immediate = asyncio.Event()
        self._transport: Transport | None = None
        self._is_ready = False

    async def run(self) -> None:
        """Run until the supervisor retires this worker or exits.

        Raises:
            CannotListenError: the port cannot be bound.
            ArtifactRefusedError: the repository as a whole cannot be read.
            CommandsFailedError: a command of the supervisor failed.
        """
        self._handle_signals()
        commands = self._tasks.spawn("commands", self._read_commands())
        try:
            async with self._tasks.restarting(heartbeats=self._send_heartbeats):
                await self._serve()
        finally:
            commands.cancel()
            await asyncio.wait({commands})
        if not commands.cancelled() and (failed := commands.exception()) is not None:
            raise CommandsFailedError(f"it cannot be controlled: {type(failed).__name__}: {failed}") from failed

    async def _serve(self) -> None:
        for model, loaded in self._start.load_requests.items():
            self._request_load(model, loaded)
        await self._models.refresh()
        await self._models.wait_idle()
        components = Components(
            settings=self._settings,
            models=self._models,
            players=self._players,
            health=self._health,
            metrics=self._metrics,
            broadcast_load=lambda model, loaded: self._channel.send(LoadRequest(model=model, loaded=loaded)),
            sample=self._new_sample(),
        )
        async with AsyncExitStack() as stack:
            samples = ProcessMetrics(self._metrics, "worker").sample_periodically
            resources = self._models.resources.sample_periodically
            work = {"process_samples": samples, "resource_samples": resources, "player_files": self._players.map_files}
            await stack.enter_async_context(self._tasks.restarting(**work))
            if components.sample is not None:
                writer = SampleWriter(sample=components.sample, settings=self._settings)
                await stack.enter_async_context(writer.run())
            folder, poll_seconds = self._settings.model_repository, self._settings.repository_poll_seconds
            self._models.resources.record_poll_seconds(poll_seconds)
            await stack.enter_async_context(watch_repository(folder, self._models.refresh, poll_seconds, self._tasks))
            _freeze_gc()
            self._is_ready = True
            self._send_status()
            self._models.subscribe(self._send_status)
            await wait_first(self._listen, self._retire)
            if not self._retire.is_set():
                self._transport = await stack.enter_async_context(accept_calls(components, self._start.port))
                self._send_status()
            await self._retire.wait()
            transport, self._transport = self._transport, None
            self._send_status()
            if transport is not None:
                await self._wait_disconnected(transport)

    def _new_sample(self) -> PredictionSample | None:
        """Return the sample of the served predictions; None: the settings want none, or there is no database."""
        self._metrics.declare(SAMPLED_ROWS)
        rate = self._settings.served_sample_rate
        return PredictionSample(rate, self._metrics) if rate and has_database(self._settings) else None

    async def _wait_disconnected(self, transport: Transport) -> None:
        """Stop accepting connections, and wait until clients have disconnected, unless retirement is immediate.

        The stop of grpcio cancels calls that arrive on a connection before its client has read GOAWAY. A connection
        that reaches its maximum age gets GOAWAY first, and calls are served until the client has read it.
        """
        if self._immediate.is_set():
            return
        transport.stop_accepting()
        disconnected = asyncio.create_task(_poll_disconnected(transport.has_connections))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.disconnect_timeout):
                await wait_first(disconnected, self._immediate)
        disconnected.cancel()

    async def _read_commands(self) -> None:
        try:
            async for message in self._channel.receive():
                await self._handle(message)
        finally:
            self._immediate.set()
            self._retire.set()
        log.error("supervisor_lost", detail="the supervisor exited; the worker stops")
        self._health.enter_graceful_shutdown()

    async def _send_heartbeats(self) -> None:
        interval = self._settings.worker_timeout_seconds / _HEARTBEATS_PER_TIMEOUT
        while True:
            self._channel.send(Heartbeat())
            await asyncio.sleep(interval)

    async def _handle(self, message: FromSupervisor) -> None:
        match message:
            case StartListening():
                self._listen.set()
            case ServerState(serving=serving, load_requests=requests):
                self._health.update(serving)
                for model, loaded in requests.items():
                    self._request_load(model, loaded)
            case StartDraining():
                self._health.enter_graceful_shutdown()
            case RetireWorker(immediate=immediate):
                self._begin_retirement(immediate=immediate)
            case ChannelzRequest(number=number):
                self._send_channelz(number)
            case TrialResult():
                self._trials.resolve(message)
            case SetLogLevel(level=level):
                set_log_level(level)
            case PlayersFile(path=path):
                self._players.replace(Path(path))

    def _begin_retirement(self, *, immediate: bool) -> None:
        if immediate:
            self._immediate.set()
        self._retire.set()

    def _send_channelz(self, number: int) -> None:
        channelz = self._transport.channelz_snapshot() if self._transport else {}
        self._channel.send(ChannelzResponse(number=number, channelz=channelz))

    def _request_load(self, model: str, loaded: bool) -> None:  # noqa: FBT001  as in the messages
        if loaded is (model in self._models.unloaded):
            self._models.request_load(model, loaded=loaded)

    async def _on_players_changed(self) -> None:
        self._send_status()

    def _send_status(self) -> None:
        if self._is_ready:
            self._channel.send(worker_status(self._models, self._players, listening=self._transport is not None))

    def _handle_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process; the supervisor reacts
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as above
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._retire.set)


class TrialClient:
    """Requests load trials of the supervisor."""

    def __init__(self, send: Callable[[TrialRequest], None]) -> None:
        self._send = send
        self._waiting: dict[str, asyncio.Future[TrialResult]] = {}

    async def run(self, folder: Path, found: RepositoryVersion) -> Optimization:
        """Wait until the supervisor has loaded a version in a process of its own; return its optimized graph.

        Raises:
            UnreadableFileError: the operating system was the reason that it could not; a later attempt may succeed.
            ArtifactRefusedError: the version is refused, or its load exceeded a limit or ended the process.
        """
        manifest = found.manifest
        if manifest is None:
            return SHIPPED  # it is refused because it has none
        text, path = manifest.model_dump_json(), str(folder)
        key = sha256(repr((path, text, found.stamp)).encode()).hexdigest()
        waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
        self._send(TrialRequest(key=key, graph=manifest.digest, folder=path, manifest=text))
        result = await waiting
        if result.refused:
            raise (UnreadableFileError if result.is_retried else ArtifactRefusedError)(result.refused)
        return await asyncio.to_thread(_read_optimization, result)

    def resolve(self, result: TrialResult) -> None:
        """Complete a request with the supervisor's result."""
        waiting = self._waiting.pop(result.key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)


def _read_optimization(result: TrialResult) -> Optimization:
    try:
        graph = Path(result.optimized_file).read_bytes() if result.optimized_file else None
    except OSError as failed:  # something has removed the file
        return Optimization(rejected=f"the optimized graph cannot be read: {failed.strerror}")
    if graph is not None and sha256(graph).hexdigest() != result.optimized_digest:
        return Optimization(rejected="the file of the optimized graph has changed since its trial")
    return Optimization(graph=graph, rewrites=result.rewrites, rejected=result.rejected)


async def _poll_disconnected(has_connections: Callable[[], bool]) -> None:
    while has_connections():  # noqa: ASYNC110  grpcio reports no end of a connection
        await asyncio.sleep(_POLL_SECONDS)


def _freeze_gc() -> None:
    """Exclude the objects made so far from garbage collection, which would block calls for 0.1 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def work(end: socket.socket, metrics: MetricsBlock) -> int:
    """Run a worker for the supervisor at the other end of a socket pair; return the exit code."""
    channel = await open_channel(end, TO_WORKER)
    try:
        return await _work(channel, metrics)
    finally:
        await channel.close()


async def _work(channel: Channel[FromSupervisor], metrics: MetricsBlock) -> int:
    start = await anext(channel.receive(), None)
    if not isinstance(start, StartWorker):
        return FAILED
    logging = start.logging
    configure_logging(logging.level, logging.form, PROGRAM, Path(logging.file) if logging.file else None)
    structlog.contextvars.bind_contextvars(worker=os.getpid())
    try:
        await WorkerMain(channel, start, metrics).run()
    except OndeckError as refused:
        channel.send(WorkerFailed(reason=str(refused)))
        return FAILED
    finally:
        await asyncio.to_thread(stop_tracing)
    return 0


def main() -> None:
    """Run a worker with the descriptors of the command line: of the socket pair, and of its metrics block, if any."""
    raise_descriptor_limit()
    metrics = inherited_block(int(sys.argv[2])) if sys.argv[2:] else MetricsBlock()
    code = uvloop.run(work(socket.socket(fileno=int(sys.argv[1])), metrics))
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)  # freeing all memory first takes seconds
