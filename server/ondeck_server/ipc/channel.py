"""A duplex channel between the supervisor and one worker: one JSON object per line, over a socket pair.

A message that is too long is cut by the sender: the texts first, then half of each list and mapping until it fits. A
line that is too long or invalid all the same is skipped by the receiver; neither ends the channel.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import structlog
from pydantic import TypeAdapter, ValidationError

from ondeck_server.ipc.messages import FromSupervisor, FromWorker

MAX_LINE_BYTES: Final = 16 << 20
MAX_CUT_TEXT: Final = 1000  # characters that remain of a text in a message that is cut

log = structlog.get_logger()

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
            self._writer.write(encode(message))

    async def receive(self) -> AsyncIterator[T]:
        """Yield the messages of the peer until it closes."""
        with suppress(ConnectionError):
            while line := await self._read_line():
                try:
                    message = self._received.validate_json(line)
                except ValidationError as invalid:
                    log.warning("message_invalid", detail="message is skipped", reason=str(invalid)[:MAX_CUT_TEXT])
                else:
                    yield message

    async def _read_line(self) -> bytes:
        """Return the next line that is not too long; empty: the peer has closed."""
        is_too_long = False
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return b""
            except asyncio.LimitOverrunError as exceeded:
                await self._reader.readexactly(exceeded.consumed)
                is_too_long = True
                continue
            if not is_too_long:
                return line
            log.warning("message_skipped", detail="message is too long", limit=MAX_LINE_BYTES)
            is_too_long = False

    async def close(self) -> None:
        """Flush what is buffered and close this end."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def encode(message: FromSupervisor | FromWorker, limit: int = MAX_LINE_BYTES) -> bytes:
    """Return a message as a line of less than `limit` bytes, cut if necessary."""
    line = message.model_dump_json().encode() + b"\n"
    divisor = 1
    while len(line) >= limit:
        log.warning("message_cut", kind=message.kind, bytes=len(line), limit=limit)
        cut = {name: _cut(value, divisor) for name, value in message if name != "kind"}
        line = message.model_copy(update=cut).model_dump_json().encode() + b"\n"
        divisor *= 2
    return line


def _cut(value: Any, divisor: int) -> Any:  # noqa: ANN401  any JSON value
    match value:
        case str():
            return value[:MAX_CUT_TEXT]
        case tuple() | list():
            return type(value)(_cut(each, divisor) for each in value[: len(value) // divisor])
        case Mapping():
            kept = [(key, each) for key, each in value.items() if len(key) <= MAX_CUT_TEXT]
            return {key: _cut(each, divisor) for key, each in kept[: len(kept) // divisor]}
        case _:
            return value


async def open_channel(end: socket.socket, received: TypeAdapter[T]) -> Channel[T]:
    """Open a channel over one end of a socket pair; `received` parses the messages of the peer."""
    reader, writer = await asyncio.open_unix_connection(sock=end, limit=MAX_LINE_BYTES)
    return Channel(reader, writer, received)
