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

from ondeck_server.ipc.channel import Channel, open_channel
from ondeck_server.ipc.messages import TO_SUPERVISOR, ChannelzRequest, FromSupervisor, FromWorker, WorkerStatus
from ondeck_server.supervisor.policy import Phase, WorkerSnapshot
from ondeck_server.supervisor.state import can_join

# grpcio's own event engine costs a lone caller a fifth of the calls that the older pollers give it.
EXPERIMENTS: Final = {"GRPC_EXPERIMENTS": "-event_engine_listener,-event_engine_client"}
# glibc would make a heap for each of a worker's threads, and give little of what reloads leave in them back.
MEMORY: Final = {"MALLOC_ARENA_MAX": "2"}
CHANNELZ_TIMEOUT_SECONDS: Final = 5.0


@dataclass(kw_only=True)
class WorkerProcess:
    """A worker as the supervisor knows it; `phase` began at `since` and the worker at `started_at` (seconds)."""

    number: int
    generation: int
    process: asyncio.subprocess.Process
    channel: Channel[FromWorker]
    started_at: float
    since: float
    phase: Phase = Phase.STARTING
    status: WorkerStatus | None = None
    failure: str = ""
    _channelz_requests: dict[int, "asyncio.Future[Mapping[str, Any]]"] = field(default_factory=dict, repr=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    def enter(self, phase: Phase) -> None:
        """Let a phase begin now."""
        self.phase, self.since = phase, asyncio.get_running_loop().time()

    def snapshot(self, serving: Mapping[str, bool]) -> WorkerSnapshot:
        """See the worker as the policy does; `serving` is what the whole serves."""
        fit = self.phase is Phase.STARTING and self.status is not None and can_join(self.status, serving)
        phase = Phase.READY if fit else self.phase
        return WorkerSnapshot(number=self.number, generation=self.generation, phase=phase, since=self.since)

    def send(self, *messages: FromSupervisor) -> None:
        """Tell it something."""
        for message in messages:
            self.channel.send(message)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def channelz(self) -> dict[str, Any]:
        """Ask what channelz sees in it; where there is no answer in time, that is the answer."""
        number = next(self._numbers)
        answer = self._channelz_requests[number] = asyncio.get_running_loop().create_future()
        self.send(ChannelzRequest(number=number))
        try:
            return {"pid": self.pid, **await asyncio.wait_for(answer, CHANNELZ_TIMEOUT_SECONDS)}
        except TimeoutError:
            return {"pid": self.pid, "error": f"no answer within {CHANNELZ_TIMEOUT_SECONDS:g} s"}
        finally:
            del self._channelz_requests[number]

    def resolve_channelz(self, number: int, channelz: Mapping[str, Any]) -> None:
        """Take the answer to a look."""
        answer = self._channelz_requests.get(number)
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
