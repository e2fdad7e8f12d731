"""The channel between supervisor and workers, over real socket pairs."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ondeck_server.ipc.channel import MAX_LINE_BYTES, Channel, encode, open_channel
from ondeck_server.ipc.messages import (
    TO_SUPERVISOR,
    TO_WORKER,
    ChannelzResponse,
    FromSupervisor,
    FromWorker,
    Heartbeat,
    LoadRequest,
    ServerState,
    WorkerFailed,
    WorkerStatus,
)

LARGE_STATUS = WorkerStatus(
    ready=True,
    listening=True,
    serving={"": True, **{f"models/{number}": True for number in range(200_000)}},
    missing=("x" * 1_000_000,),
    loaded=tuple(f"model {number}" for number in range(200_000)),
    refused={"model 1": "y" * MAX_LINE_BYTES},
)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Channel[FromWorker], Channel[FromSupervisor]]]:
    """Yield the ends of the supervisor and of a worker."""
    ends = socket.socketpair()
    supervisor, worker = await open_channel(ends[0], TO_SUPERVISOR), await open_channel(ends[1], TO_WORKER)
    try:
        yield supervisor, worker
    finally:
        await worker.close()
        await supervisor.close()


async def test_a_report_that_is_too_large_arrives_cut() -> None:
    async with connected() as (supervisor, worker), asyncio.timeout(60):
        worker.send(LARGE_STATUS)
        worker.send(Heartbeat())
        received = supervisor.receive()
        status = await anext(received)
        assert isinstance(status, WorkerStatus)
        assert (status.ready, status.listening, status.serving[""]) == (True, True, True)
        assert len(status.missing[0]) == len(status.refused["model 1"]) == 1000
        assert await anext(received) == Heartbeat()


@pytest.mark.parametrize(
    "message",
    [
        LARGE_STATUS,
        WorkerFailed(reason="z" * 100_000),
        LoadRequest(model="m" * 100_000, loaded=True),
        ChannelzResponse(number=3, channelz={"server": [{"socket": [{"name": "a" * 90}] * 1000}]}),
        ServerState(serving={"n" * 50_000: True}, load_requests={str(number): True for number in range(9000)}),
    ],
    ids=lambda message: message.kind,
)
def test_every_message_is_cut_to_the_limit(message: FromWorker | FromSupervisor) -> None:
    line = encode(message, limit=4096)
    assert len(line) < 4096
    assert json.loads(line)["kind"] == message.kind


async def test_lines_that_are_too_long_or_invalid_are_skipped() -> None:
    here, there = socket.socketpair()
    channel = await open_channel(here, TO_SUPERVISOR)
    lines = [
        b"{",
        b"[" * 100_000,
        b"x" * (3 * MAX_LINE_BYTES),
        b'{"kind": "unknown"}',
        b"\xff",
        b'{"kind":"heartbeat"}',
    ]
    _, writer = await asyncio.open_unix_connection(sock=there)
    async with asyncio.timeout(60):
        writer.write(b"\n".join([*lines, b""]))
        writer.close()
        assert [message async for message in channel.receive()] == [Heartbeat()]
    await channel.close()
