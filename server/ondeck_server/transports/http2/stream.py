"""One call on a connection: from its first message to its status, or until its caller goes."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.message import Message
from google.rpc import code_pb2

from ondeck_server.rpc import correlation
from ondeck_server.rpc.errors import DeadlineExceededError, told
from ondeck_server.rpc.method import DETAILS, Method, admit, gone
from ondeck_server.transports.http2.codec import MessageDecoder, ProtocolError, encode
from ondeck_server.transports.http2.context import Http2CallContext
from ondeck_server.transports.http2.headers import BEGUN, ENDED_WELL, GZIPPED, Field, trailers

_OVERDUE: Final = "the deadline passed while the call was under way"
_GIVEN_UP: Final = ProtocolError(code_pb2.CANCELLED, "the server gave up what the call waited for")


class StreamWriter(Protocol):
    """What a call asks of its connection; `stream` is its number there."""

    def begin(self, stream: int, fields: list[Field], *, end: bool = False) -> None:
        """Send the first headers."""

    def say(self, stream: int, data: bytes) -> None:
        """Send bytes, once the caller has room for them."""

    def end(self, stream: int, fields: list[Field]) -> None:
        """Send the last headers."""

    def let(self, stream: int, size: int) -> None:
        """Let the caller send so many bytes more."""

    def full(self, stream: int) -> bool:
        """Tell whether more was said than the caller reads."""

    async def room(self, stream: int) -> None:
        """Wait until that is no longer so."""


@dataclass(frozen=True, kw_only=True)
class StreamLimits:
    """Bytes: of a message at most, of what a caller may be ahead, and of the least answer that is compressed."""

    longest_message: int
    window: int
    compress_from: int | None


class ServerStream(ABC):
    """One call, within bounds."""

    def __init__(
        self, line: StreamWriter, stream: int, method: Method, call: Http2CallContext, bounds: StreamLimits
    ) -> None:
        self.call = call
        self.over = False
        self._line = line
        self._stream = stream
        self._method = method
        self._longest = bounds.longest_message
        self._compress_from = bounds.compress_from if b"gzip" in call.head.accepts else None
        self._messages = MessageDecoder(bounds.longest_message, call.head.encoding)
        self._begun = False
        self._since = time.perf_counter()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        left = call.time_left()
        if left is not None:
            self._timer = asyncio.get_running_loop().call_later(left, self._overdue)

    @abstractmethod
    def take(self, data: bytes, *, end: bool) -> None:
        """Take bytes of what the caller asks."""

    def leave(self) -> None:
        """Take it that the caller is gone."""
        if not self.over:
            self.call.gone = True
            self._close(gone(self.call))
            self._stop()

    def refuse(self, refused: ProtocolError) -> None:
        """End the call with a status of the transport's own."""
        if not self.over:
            self._tell(refused.code, str(refused), [(correlation.HEADER, self.call.correlation_id)])
            self._stop()

    @abstractmethod
    async def _work(self) -> None:
        """Answer the call."""

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            admit(self.call)
            await self._work()
        except ProtocolError as refused:
            self.refuse(refused)
        except Exception as error:  # noqa: BLE001  every error becomes a status here
            self._fail(error)
        except asyncio.CancelledError:
            self.refuse(_GIVEN_UP)
            raise
        finally:
            self._task = None  # a task that was cancelled keeps its frames: with it, this would wait for the collector

    def _send(self, answer: Message) -> None:
        message = self._method.write(answer)
        if len(message) > self._longest:
            text = f"an answer of {len(message)} bytes; at most {self._longest} are given (ONDECK_MAX_MESSAGE_MIB)"
            raise ProtocolError(code_pb2.RESOURCE_EXHAUSTED, text)
        if not self._begun:
            self._begun = True
            self._line.begin(self._stream, BEGUN if self._compress_from is None else GZIPPED)
        self._line.say(self._stream, encode(message, self._compress_from))

    async def _send_all(self, answers: AsyncGenerator[Message, None]) -> None:
        """Send answers as fast as they are read, and let go of what makes them."""
        try:
            async for answer in answers:
                self._send(answer)
                if self._line.full(self._stream):
                    await self._line.room(self._stream)
            self._finish()
        finally:
            await answers.aclose()

    def _finish(self) -> None:
        if self.over:
            return
        given = self.call.given_id
        fields = trailers(code_pb2.OK, "", [(correlation.HEADER, given)]) if given else ENDED_WELL
        self._end(code_pb2.OK, fields)

    def _fail(self, error: Exception) -> None:
        if self.over:
            return
        outcome = told(error, self.call)
        details = outcome.status().SerializeToString()
        trailing = [(DETAILS, details), (correlation.HEADER, self.call.correlation_id)]
        self._tell(outcome.code, outcome.message, trailing)

    def _tell(self, code: int, message: str, trailing: list[tuple[str, str | bytes]]) -> None:
        self._end(code, trailers(code, message, trailing))

    def _end(self, code: int, fields: list[Field]) -> None:
        if self._begun:
            self._line.end(self._stream, fields)
        else:
            self._line.begin(self._stream, [*BEGUN, *fields], end=True)
        self._close(code)

    def _close(self, code: int) -> None:
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        self._method.meter.ended(code, self._since)

    def _overdue(self) -> None:
        if not self.over:
            self._fail(DeadlineExceededError(_OVERDUE))
            self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
