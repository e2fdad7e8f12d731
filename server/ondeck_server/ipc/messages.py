"""What the supervisor and its workers say to each other: one JSON object a line, over a socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Annotated, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

LONGEST_LINE: Final = 16 << 20


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogConfig(_Message):
    """How a program writes its log; see `ondeck_runtime.logging`."""

    level: str
    form: str


class StartWorker(_Message):
    """To a worker, first of all: its settings, the port that is held for it, and the folder of its measures."""

    kind: Literal["start"] = "start"
    settings: Mapping[str, JsonValue]
    port: int
    measures: str
    logging: LogConfig
    wishes: Mapping[str, bool]


class StartListening(_Message):
    """To a worker that has settled: take calls now."""

    kind: Literal["listen"] = "listen"


class ServerState(_Message):
    """To every worker: which health names the whole server serves, and which models were asked to be loaded or not."""

    kind: Literal["whole"] = "whole"
    serving: Mapping[str, bool]
    wishes: Mapping[str, bool]


class StartDraining(_Message):
    """To every worker: from now on no name serves, whatever else is said."""

    kind: Literal["draining"] = "draining"


class RetireWorker(_Message):
    """To a worker: take no new connection, let calls in flight finish, and end.

    In a hurry it does not wait for connections to leave by themselves first.
    """

    kind: Literal["retire"] = "retire"
    hurry: bool


class ChannelzRequest(_Message):
    """To a worker: tell what channelz sees in you."""

    kind: Literal["look"] = "look"
    number: int


class WorkerStatus(_Message):
    """From a worker, whenever something of it has changed.

    `serving` tells of each health name whether this worker serves it, `missing` why it is not ready; `loaded` are the
    versions that answer, as `model number`, `refused` those that will not and why, `wanted` and `actual` tell by model
    where each alias points. A worker is `settled` once nothing is on its way that it should have before it takes calls.
    """

    kind: Literal["report"] = "report"
    settled: bool
    listening: bool
    serving: Mapping[str, bool]
    missing: tuple[str, ...]
    loaded: tuple[str, ...]
    refused: Mapping[str, str] = {}
    wanted: Mapping[str, Mapping[str, int]] = {}
    actual: Mapping[str, Mapping[str, int]] = {}


class WorkerFailed(_Message):
    """From a worker that cannot start, in words for a person; it ends after that."""

    kind: Literal["failed"] = "failed"
    reason: str


class LoadRequest(_Message):
    """From a worker: a caller asked it to have a whole model loaded, or not."""

    kind: Literal["wish"] = "wish"
    model: str
    loaded: bool


class ChannelzResponse(_Message):
    """From a worker: what channelz sees in it, in answer to a `ChannelzRequest` of the same number."""

    kind: Literal["seen"] = "seen"
    number: int
    channelz: Mapping[str, JsonValue]


FromSupervisor = StartWorker | StartListening | ServerState | StartDraining | RetireWorker | ChannelzRequest
FromWorker = WorkerStatus | WorkerFailed | LoadRequest | ChannelzResponse

TO_WORKER: Final[TypeAdapter[FromSupervisor]] = TypeAdapter(Annotated[FromSupervisor, Field(discriminator="kind")])
TO_SUPERVISOR: Final[TypeAdapter[FromWorker]] = TypeAdapter(Annotated[FromWorker, Field(discriminator="kind")])

T = TypeVar("T")


class Channel(Generic[T]):
    """One end of the talk; `open_channel` makes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: TypeAdapter[T]) -> None:
        self._reader = reader
        self._writer = writer
        self._heard = heard

    def say(self, message: FromSupervisor | FromWorker) -> None:
        """Send a message, without waiting; nobody hears it where the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(message.model_dump_json().encode() + b"\n")

    async def heard(self) -> AsyncIterator[T]:
        """Give what the other end says, until it is gone."""
        with suppress(ConnectionError):
            while (line := await self._reader.readline()).endswith(b"\n"):
                yield self._heard.validate_json(line)

    async def close(self) -> None:
        """Send what is left, and be gone."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


async def open_channel(end: socket.socket, heard: TypeAdapter[T]) -> Channel[T]:
    """Talk over one end of a socket pair, hearing what `heard` reads."""
    reader, writer = await asyncio.open_unix_connection(sock=end, limit=LONGEST_LINE)
    return Channel(reader, writer, heard)
