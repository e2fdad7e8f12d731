"""A worker's process, and the talk with it."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from ondeck_server.ipc.messages import (
    TO_SUPERVISOR,
    Channel,
    ChannelzRequest,
    FromSupervisor,
    FromWorker,
    WorkerStatus,
    open_channel,
)
from ondeck_server.supervisor.policy import Phase, WorkerSnapshot
from ondeck_server.supervisor.state import fits

# grpcio's own event engine costs a lone caller a fifth of the calls that the older pollers give it.
EXPERIMENTS: Final = {"GRPC_EXPERIMENTS": "-event_engine_listener,-event_engine_client"}
# glibc would make a heap for each of a worker's threads, and give little of what reloads leave in them back.
MEMORY: Final = {"MALLOC_ARENA_MAX": "2"}
LOOK_SECONDS: Final = 5.0


@dataclass(kw_only=True)
class WorkerProcess:
    """A worker as the supervisor knows it; `phase` began at `since` and the worker at `born` (seconds)."""

    number: int
    generation: int
    process: asyncio.subprocess.Process
    talk: Channel[FromWorker]
    born: float
    since: float
    phase: Phase = Phase.STARTING
    report: WorkerStatus | None = None
    failed: str = ""
    _looks: dict[int, "asyncio.Future[Mapping[str, Any]]"] = field(default_factory=dict, repr=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    def enter(self, phase: Phase) -> None:
        """Let a phase begin now."""
        self.phase, self.since = phase, asyncio.get_running_loop().time()

    def member(self, serving: Mapping[str, bool]) -> WorkerSnapshot:
        """See the worker as the policy does; `serving` is what the whole serves."""
        fit = self.phase is Phase.STARTING and self.report is not None and fits(self.report, serving)
        phase = Phase.FIT if fit else self.phase
        return WorkerSnapshot(number=self.number, generation=self.generation, phase=phase, since=self.since)

    def say(self, *messages: FromSupervisor) -> None:
        """Tell it something."""
        for message in messages:
            self.talk.say(message)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def look(self) -> dict[str, Any]:
        """Ask what channelz sees in it; where there is no answer in time, that is the answer."""
        number = next(self._numbers)
        answer = self._looks[number] = asyncio.get_running_loop().create_future()
        self.say(ChannelzRequest(number=number))
        try:
            return {"pid": self.pid, **await asyncio.wait_for(answer, LOOK_SECONDS)}
        except TimeoutError:
            return {"pid": self.pid, "error": f"no answer within {LOOK_SECONDS:g} s"}
        finally:
            del self._looks[number]

    def saw(self, number: int, channelz: Mapping[str, Any]) -> None:
        """Take the answer to a look."""
        answer = self._looks.get(number)
        if answer is not None and not answer.done():
            answer.set_result(channelz)


async def start_process(environment: Mapping[str, str]) -> tuple[asyncio.subprocess.Process, Channel[FromWorker]]:
    """Start the program of a worker; it waits for its first message."""
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "ondeck_server.worker.main", str(theirs.fileno())),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**EXPERIMENTS, **MEMORY, **os.environ, **environment},
        )
        return process, await open_channel(ours, TO_SUPERVISOR)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
