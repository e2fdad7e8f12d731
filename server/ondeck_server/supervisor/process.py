"""One worker process as the supervisor sees it: start it, exchange messages with it, kill it."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from ondeck_core.errors import OndeckError
from ondeck_server.ipc.channel import Channel, open_channel
from ondeck_server.ipc.messages import TO_SUPERVISOR, ChannelzRequest, FromSupervisor, FromWorker, WorkerStatus
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.policy import Phase, WorkerSnapshot, can_join

# grpcio's own event engine answers a single caller a fifth slower than its older pollers.
EXPERIMENTS: Final = {"GRPC_EXPERIMENTS": "-event_engine_listener,-event_engine_client"}
# By default glibc makes a heap per thread, and returns little of the memory that reloads free in them.
MEMORY: Final = {"MALLOC_ARENA_MAX": "2"}
CHANNELZ_TIMEOUT_SECONDS: Final = 5.0
KILL_SECONDS: Final = 5.0  # after SIGKILL; one that waits in the kernel does not exit


class NoAnswerError(OndeckError):
    """A child did not answer its request."""


@dataclass(kw_only=True)
class WorkerProcess:
    """A worker process; `phase` began at `since` and the process at `started_at` (seconds of the event loop).

    `heartbeat_at` is the time of its last message, None before the first.
    """

    number: int
    generation: int
    process: asyncio.subprocess.Process
    channel: Channel[FromWorker]
    started_at: float
    since: float
    phase: Phase = Phase.STARTING
    status: WorkerStatus | None = None
    heartbeat_at: float | None = None
    was_killed: bool = False
    failure: str = ""
    _channelz_requests: dict[int, "asyncio.Future[Mapping[str, Any]]"] = field(default_factory=dict, repr=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def exit_reason(self) -> str:
        """Why the process exited: retired, died or killed."""
        if self.was_killed:
            return "killed"
        return "retired" if self.phase is Phase.RETIRING else "died"

    def enter(self, phase: Phase) -> None:
        """Enter a phase now."""
        self.phase, self.since = phase, asyncio.get_running_loop().time()

    def snapshot(self, serving: Mapping[str, bool]) -> WorkerSnapshot:
        """Return the snapshot for the policy; `serving` is what the whole server serves."""
        is_ready = self.phase is Phase.STARTING and self.status is not None and can_join(self.status, serving)
        phase = Phase.READY if is_ready else self.phase
        return WorkerSnapshot(
            number=self.number,
            generation=self.generation,
            phase=phase,
            since=self.since,
            heartbeat_at=self.heartbeat_at,
        )

    def send(self, *messages: FromSupervisor) -> None:
        """Send messages without waiting."""
        for message in messages:
            self.channel.send(message)

    def kill(self) -> None:
        """Send SIGKILL, if the process has not exited."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def channelz(self) -> dict[str, Any]:
        """Request the channelz data of the worker; a worker that does not respond in time yields an error entry."""
        number = next(self._numbers)
        response = self._channelz_requests[number] = asyncio.get_running_loop().create_future()
        self.send(ChannelzRequest(number=number))
        try:
            return {"pid": self.pid, **await asyncio.wait_for(response, CHANNELZ_TIMEOUT_SECONDS)}
        except TimeoutError:
            return {"pid": self.pid, "error": f"no response within {CHANNELZ_TIMEOUT_SECONDS:g} s"}
        finally:
            del self._channelz_requests[number]

    def resolve_channelz(self, number: int, channelz: Mapping[str, Any]) -> None:
        """Complete a channelz request with the worker's response."""
        response = self._channelz_requests.get(number)
        if response is not None and not response.done():
            response.set_result(channelz)


async def start_process(*inherited: int) -> tuple[asyncio.subprocess.Process, Channel[FromWorker]]:
    """Start a worker process, which waits for its first message; descriptors follow that of its socket.

    Raises:
        OSError: the process cannot be started, or a descriptor is missing.
    """
    supervisor_end, worker_end = socket.socketpair()
    try:
        with worker_end:
            descriptors = (worker_end.fileno(), *inherited)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "ondeck_server.worker", *map(str, descriptors)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=descriptors,
                env={**EXPERIMENTS, **MEMORY, **os.environ},
            )
        return process, await open_channel(supervisor_end, TO_SUPERVISOR)
    except BaseException:
        supervisor_end.close()  # a worker that was started exits when this end is closed
        raise


async def start_child(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a process that is no worker; requests and results go through its input and output.

    Raises:
        OSError: the process cannot be started, or a descriptor is missing.
    """
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C goes to the server's group only
    )


async def ask_child(
    module: str, request: str, reserve: DescriptorReserve, *, seconds: int, exit_seconds: float
) -> bytes:
    """Return what a child writes in answer to one request; it is ended after `seconds`, SIGTERM first.

    Raises:
        NoAnswerError: it takes longer, or exits without an answer.
        OSError: it cannot be started.
    """
    with reserve.released():
        process = await start_child(module)
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate(request.encode())
    except TimeoutError:
        raise NoAnswerError(f"the read takes longer than {seconds} seconds") from None
    finally:
        await end_child(process, exit_seconds, asks=True)
    if not output:
        raise NoAnswerError(f"the process that reads exits with code {process.returncode}")
    return output


async def end_child(process: asyncio.subprocess.Process, seconds: float, *, asks: bool = False) -> int | None:
    """Wait for a child's exit so many seconds, then send SIGKILL; returns its exit code.

    With `asks` it is sent SIGTERM first. None: it does not exit, as one that waits for a file system in the kernel.
    """
    if asks and process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
    with suppress(TimeoutError):
        return await asyncio.wait_for(process.wait(), seconds)
    with suppress(ProcessLookupError):
        process.kill()
    with suppress(TimeoutError):
        return await asyncio.wait_for(process.wait(), KILL_SECONDS)
    return None


def watch_children_by_descriptor() -> None:
    """Let asyncio watch child processes by descriptor; its default needs a new thread for each, which may fail."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return  # the kernel has no such descriptors
    watcher = asyncio.PidfdChildWatcher()
    watcher.attach_loop(asyncio.get_running_loop())
    asyncio.set_child_watcher(watcher)
