"""One of the processes that answer calls. A supervisor starts it, and tells it over a socket pair what to do.

`python -m ondeck_server.worker FD`: FD is this process's end of the pair. When the other end is gone, so is the reason
to be here.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import structlog
import uvloop
from grpc_health.v1.health import aio as health_aio
from prometheus_client import CollectorRegistry

from ondeck_core.errors import OndeckError
from ondeck_server.assembly import Parts, open_models, report_of, taking_calls
from ondeck_server.channelz import seen
from ondeck_server.health import tell
from ondeck_server.models.watching import kept_current
from ondeck_server.players import Players
from ondeck_server.settings import ServerSettings
from ondeck_server.talk import (
    TO_WORKER,
    Draining,
    Failed,
    FromSupervisor,
    Listen,
    Look,
    Retire,
    Seen,
    Start,
    Talk,
    Whole,
    open_talk,
)
from ondeck_store.logs import configure_logs

FAILED = 1

log = structlog.get_logger()


class Worker:
    """One run of a worker: it settles, listens when it is told to, and ends when it is told to or left alone."""

    def __init__(self, talk: Talk[FromSupervisor], start: Start) -> None:
        self._talk = talk
        self._start = start
        self._settings = ServerSettings.model_validate(start.settings)
        self._health = health_aio.HealthServicer()
        self._players = Players(self._settings, changed=self._report)
        self._registry = CollectorRegistry()
        self._models = open_models(self._settings, self._registry)
        self._listen = asyncio.Event()
        self._retire = asyncio.Event()
        self._listening = False
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
        parts = Parts(
            settings=self._settings,
            models=self._models,
            players=self._players,
            health=self._health,
            registry=self._registry,
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._players.kept_fresh())
            await stack.enter_async_context(kept_current(self._models, self._settings.look_seconds))
            self._settled = True
            self._tell()
            self._models.tell(self._tell)
            await _first_of(self._listen, self._retire)
            if not self._retire.is_set():
                await stack.enter_async_context(taking_calls(parts, self._start.port))
                self._listening = True
                self._tell()
            await self._retire.wait()
            self._listening = False
            self._tell()

    async def _obey(self) -> None:
        try:
            async for message in self._talk.heard():
                await self._do(message)
        finally:
            self._retire.set()
        log.error("the supervisor is gone")
        await self._health.enter_graceful_shutdown()
        shutil.rmtree(self._start.measures, ignore_errors=True)  # nobody else is left to do so; open files stay usable

    async def _do(self, message: FromSupervisor) -> None:
        match message:
            case Listen():
                self._listen.set()
            case Whole(serving=serving, wishes=wishes):
                await tell(self._health, dict(serving))
                for model, loaded in wishes.items():
                    self._wish(model, loaded)
            case Draining():
                await self._health.enter_graceful_shutdown()
            case Retire():
                self._retire.set()
            case Look(number=number):
                self._talk.say(Seen(number=number, channelz=seen()))
            case Start():
                pass

    def _wish(self, model: str, loaded: bool) -> None:  # noqa: FBT001  as the messages say it
        if loaded is (model in self._models.unloaded):
            self._models.wish(model, loaded=loaded)

    async def _report(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._settled:
            self._talk.say(report_of(self._models, self._players, listening=self._listening))

    def _on_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all of us; the supervisor decides
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as above
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._retire.set)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def work(end: socket.socket) -> int:
    """Work for the supervisor at the other end; gives the exit code of the process."""
    talk = await open_talk(end, TO_WORKER)
    try:
        return await _work(talk)
    finally:
        await talk.close()


async def _work(talk: Talk[FromSupervisor]) -> int:
    start = await anext(talk.heard(), None)
    if not isinstance(start, Start):
        return FAILED
    configure_logs(start.logging.level, start.logging.form)
    structlog.contextvars.bind_contextvars(worker=os.getpid())
    try:
        await Worker(talk, start).run()
    except OndeckError as refused:
        talk.say(Failed(reason=str(refused)))
        return FAILED
    return 0


def main(run: Callable[[socket.socket], int]) -> None:
    """Take the socket pair's end that the command line names."""
    sys.exit(run(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main(lambda end: uvloop.run(work(end)))
