"""A duplex channel between the supervisor and one worker: one JSON object per line, over a socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Generic, TypeVar

from pydantic import TypeAdapter

from ondeck_server.ipc.messages import FromSupervisor, FromWorker

MAX_LINE_BYTES: Final = 16 << 20

T = TypeVar("T")


class Channel(Generic[T]):
    """One end of the channel; `open_channel` creates it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: TypeAdapter[T]) -> None:
        self._reader = reader
        self._writer = writer
        self._received = received

    def send(self, message: FromSupervisor | FromWorker) -> None:
        """Send a message without waiting; drops it if the peer has closed."""
        if not self._writer.is_closing():
            self._writer.write(message.model_dump_json().encode() + b"\n")

    async def receive(self) -> AsyncIterator[T]:
        """Yield the messages of the peer until it closes."""
        with suppress(ConnectionError):
            while (line := await self._reader.readline()).endswith(b"\n"):
                yield self._received.validate_json(line)

    async def close(self) -> None:
        """Flush what is buffered and close this end."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


async def open_channel(end: socket.socket, received: TypeAdapter[T]) -> Channel[T]:
    """Open a channel over one end of a socket pair; `received` parses the messages of the peer."""
    reader, writer = await asyncio.open_unix_connection(sock=end, limit=MAX_LINE_BYTES)
    return Channel(reader, writer, received)
