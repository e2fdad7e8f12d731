"""One of the processes that answer calls. A supervisor starts it, and tells it over a socket pair what to do.

`python -m ondeck_server.worker.main FD`: FD is this process's end of the pair. When the other end is gone, so is the
reason to be here.
"""

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from ondeck_core.errors import OndeckError
from ondeck_runtime.logging import configure_logging
from ondeck_runtime.tasks import wait_first
from ondeck_server.composition import Components, open_models, report_of, taking_calls
from ondeck_server.health.status import HealthRegistry
from ondeck_server.ipc.messages import (
    TO_WORKER,
    Channel,
    ChannelzRequest,
    ChannelzResponse,
    FromSupervisor,
    LoadRequest,
    RetireWorker,
    ServerState,
    StartDraining,
    StartListening,
    StartWorker,
    WorkerFailed,
    open_channel,
)
from ondeck_server.models.watcher import kept_current
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.factory import Transport
from ondeck_server.worker.drain import all_left, patience

FAILED = 1
_COLLECT_AFTER = (10_000, 20, 20)

log = structlog.get_logger()


class WorkerMain:
    """One run of a worker: it settles, listens when it is told to, and ends when it is told to or left alone."""

    def __init__(self, talk: Channel[FromSupervisor], start: StartWorker) -> None:
        self._talk = talk
        self._start = start
        self._settings = ServerSettings.model_validate(start.settings)
        self._health = HealthRegistry()
        self._players = PlayerDirectory(self._settings, changed=self._report)
        self._registry = CollectorRegistry()
        self._models = open_models(self._settings, self._registry)
        self._listen = asyncio.Event()
        self._retire = asyncio.Event()
        self._hurry = asyncio.Event()
        self._carrier: Transport | None = None
        self._settled = False

    async def run(self) -> None:
        """Work until told to retire, or until the supervisor is gone.

        Raises:
            CannotListenError: the port cannot be listened on.
            ArtifactRefusedError: the repository itself cannot be read.
        """
        self._on_signals()
        obeying = asyncio.create_task(self._obey())
        try:
            await self._serve()
        finally:
            obeying.cancel()
            with suppress(asyncio.CancelledError):
                await obeying

    async def _serve(self) -> None:
        for model, loaded in self._start.wishes.items():
            self._wish(model, loaded)
        await self._models.look()
        await self._models.settle()
        parts = Components(
            settings=self._settings,
            models=self._models,
            players=self._players,
            health=self._health,
            registry=self._registry,
            tell_wish=lambda model, loaded: self._talk.say(LoadRequest(model=model, loaded=loaded)),
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._players.kept_fresh())
            await stack.enter_async_context(self._models.holdings.kept_measured())
            await stack.enter_async_context(kept_current(self._models, self._settings.repository_poll_seconds))
            _leave_to_itself()
            self._settled = True
            self._tell()
            self._models.tell(self._tell)
            await wait_first(self._listen, self._retire)
            if not self._retire.is_set():
                self._carrier = await stack.enter_async_context(taking_calls(parts, self._start.port))
                self._tell()
            await self._retire.wait()
            carrier, self._carrier = self._carrier, None
            self._tell()
            if carrier is not None:
                await self._leave(carrier)

    async def _leave(self, carrier: Transport) -> None:
        """Let connections leave by themselves, unless there is no time for that."""
        if self._hurry.is_set():
            return
        carrier.shut()
        left = asyncio.create_task(all_left(carrier.anybody_connected))
        with suppress(TimeoutError):
            async with asyncio.timeout(patience(self._settings.max_connection_age_seconds)):
                await wait_first(left, self._hurry)
        left.cancel()

    async def _obey(self) -> None:
        try:
            async for message in self._talk.heard():
                await self._do(message)
        finally:
            self._hurry.set()
            self._retire.set()
        log.error("the supervisor is gone")
        self._health.leave()
        shutil.rmtree(self._start.measures, ignore_errors=True)  # nobody else is left to do so; open files stay usable

    async def _do(self, message: FromSupervisor) -> None:
        match message:
            case StartListening():
                self._listen.set()
            case ServerState(serving=serving, wishes=wishes):
                self._health.tell(serving)
                for model, loaded in wishes.items():
                    self._wish(model, loaded)
            case StartDraining():
                self._health.leave()
            case RetireWorker(hurry=hurry):
                if hurry:
                    self._hurry.set()
                self._retire.set()
            case ChannelzRequest(number=number):
                self._talk.say(ChannelzResponse(number=number, channelz=self._carrier.seen() if self._carrier else {}))
            case StartWorker():
                pass

    def _wish(self, model: str, loaded: bool) -> None:  # noqa: FBT001  as the messages say it
        if loaded is (model in self._models.unloaded):
            self._models.wish(model, loaded=loaded)

    async def _report(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._settled:
            self._talk.say(report_of(self._models, self._players, listening=self._carrier is not None))

    def _on_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all of us; the supervisor decides
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as above
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._retire.set)


def _leave_to_itself() -> None:
    """Keep the garbage collector from what was made at the start: to look through it would hold calls up for 0.1 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


async def work(end: socket.socket) -> int:
    """Work for the supervisor at the other end; gives the exit code of the process."""
    talk = await open_channel(end, TO_WORKER)
    try:
        return await _work(talk)
    finally:
        await talk.close()


async def _work(talk: Channel[FromSupervisor]) -> int:
    start = await anext(talk.heard(), None)
    if not isinstance(start, StartWorker):
        return FAILED
    configure_logging(start.logging.level, start.logging.form)
    structlog.contextvars.bind_contextvars(worker=os.getpid())
    try:
        await WorkerMain(talk, start).run()
    except OndeckError as refused:
        talk.say(WorkerFailed(reason=str(refused)))
        return FAILED
    return 0


def main() -> None:
    """Work at the socket pair's end that the command line names, and be gone: to free it all first takes seconds."""
    code = uvloop.run(work(socket.socket(fileno=int(sys.argv[1]))))
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
