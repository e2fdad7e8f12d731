"""One call on an HTTP/2 stream: its bytes become requests, its responses become DATA frames."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

from google.protobuf.message import Message
from google.rpc import code_pb2

from ondeck_server.rpc.errors import BufferFullError, ProtocolError
from ondeck_server.rpc.method import Method
from ondeck_server.rpc.server_call import ServerCall, Trailers
from ondeck_server.transports.http2.large_messages import LARGE_BYTES, Turn
from ondeck_server.transports.http2.rejection import RefusalReason
from ondeck_server.transports.http2.stream_writer import StreamLimits, StreamWriter
from ondeck_server.transports.http2.wire_format import (
    GZIP_RESPONSE_HEADERS,
    OK_TRAILERS,
    RESPONSE_HEADERS,
    MessageDecoder,
    Received,
    RequestHeaders,
    encode,
    message_size,
    received_size,
    status_trailers,
    text_metadata,
)

_INFLATION: Final = ThreadPoolExecutor(1, thread_name_prefix="inflation")


class ServerStream(ServerCall):
    """One call; a subclass decides when the request bytes that arrive start the handler."""

    def __init__(
        self, writer: StreamWriter, stream: int, method: Method, headers: RequestHeaders, limits: StreamLimits
    ) -> None:
        super().__init__(method)
        self._writer = writer
        self._stream = stream
        self._headers = headers
        self._max_message = limits.max_message
        self._compression_threshold = limits.compression_threshold if b"gzip" in headers.accepts else None
        self._decoder = MessageDecoder(min(limits.max_message, method.max_bytes), headers.encoding)
        self._has_sent_headers = False
        self._account = writer.account
        self._held = headers.size
        self._account.used += headers.size
        self._unread = 0  # bytes of responses, as far as they count in `_held`
        self._withheld = 0  # received bytes for which the caller has no window yet
        self._turn: Turn | None = None  # of the large message that arrives or is processed
        self._window = limits.window
        self._large_messages = limits.large_messages
        self._code: int = code_pb2.OK
        self._loop = asyncio.get_running_loop()
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        if headers.timeout is not None:
            self._deadline = self._loop.time() + headers.timeout
            self._timer = self._loop.call_later(headers.timeout, self.expire)

    @abstractmethod
    def receive(self, data: bytes, *, end: bool) -> None:
        """Process request bytes; `end`: the caller has half-closed the stream."""

    def end_if_slow(self, seconds: float) -> bool:  # noqa: ARG002  a caller may send a stream of requests at leisure
        """End the call if its request has not been complete for longer, and return whether it was."""
        return False

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """Text metadata of the request."""
        return dict(text_metadata(self._headers.fields))

    @property
    def peer(self) -> str:
        """Address of the caller."""
        return self._writer.peer.address

    @property
    def identity(self) -> str:
        """Identity from the caller's client certificate; "" without one."""
        return self._writer.peer.identity

    def time_left(self) -> float | None:
        """Return the seconds until the deadline; None: no deadline."""
        return None if self._deadline is None else max(self._deadline - self._loop.time(), 0.0)

    def _correlation_header(self) -> str:
        return self._headers.correlation.decode("utf-8", "replace")

    def _send(self, response: Message | bytes) -> Awaitable[None] | None:
        message = self._method.encode(response)
        if len(message) > self._max_message:
            text = f"the response has {len(message)} bytes, more than {self._max_message} (ONDECK_MAX_MESSAGE_MIB)"
            raise ProtocolError(code_pb2.RESOURCE_EXHAUSTED, text)
        framed = encode(message, self._compression_threshold)
        self._hold_unread(len(framed))
        if not self._has_sent_headers:
            self._has_sent_headers = True
            headers = RESPONSE_HEADERS if self._compression_threshold is None else GZIP_RESPONSE_HEADERS
            self._writer.send_headers(self._stream, headers)
        self._writer.send_data(self._stream, framed)
        if self._method.server_streaming and self._writer.is_blocked(self._stream):
            return self._wait_writable()
        return None

    async def _wait_writable(self) -> None:
        await self._writer.wait_writable(self._stream)
        self._hold_unread(0)

    def hold(self, size: int) -> None:
        """Charge bytes to the connection until the call ends.

        Raises:
            BufferFullError: the connection or the worker holds too many.
        """
        self._held += size
        account = self._account
        account.used += size
        if account.used > account.allowed:
            account.extend()

    def fail_if_full(self) -> None:
        """Fail the call if not even its headers have room."""
        try:
            self.hold(0)
        except BufferFullError as error:
            self.fail(error)

    def release(self, size: int) -> None:
        """Return bytes before the call ends."""
        self._held -= size
        self._account.used -= size
        if self._account.used < self._account.spare:
            self._account.shrink()

    def _hold_unread(self, size: int) -> None:
        """Charge a response; what the caller has read of earlier ones no longer counts."""
        queued = self._writer.queued_bytes(self._stream) if self._method.server_streaming else 0
        change, self._unread = queued + size - self._unread, queued + size
        if change > 0:
            self.hold(change)
        else:
            self.release(-change)

    def _accept(self, size: int) -> None:
        """Charge received bytes, and let the caller send as many: now, or once its large message may arrive.

        Raises:
            BufferFullError: the connection or the worker holds too many bytes.
        """
        self.hold(size)
        self._withheld += size
        self._await_turn()
        if self._turn is not None and self._turn.is_arriving:
            self._turn.received += size
        if self._can_receive():
            self._grant_withheld()

    def _await_turn(self) -> None:
        """Queue for a turn if the message that arrives is larger than the window."""
        if self._turn is None and self._decoder.expected > self._window:
            self._enter(self._decoder.expected, self._grant_withheld, is_arriving=True)

    def _can_receive(self) -> bool:
        turn = self._turn
        return turn is None or turn.has_started

    def _enter(self, size: int, begin: Callable[[], None], *, is_arriving: bool = False) -> None:
        """Queue for a turn of the call; an earlier one ends."""
        self._leave()
        self._turn = Turn(self._account, size, begin, self._fail_stalled, is_arriving=is_arriving)
        self._large_messages.enter(self._turn)

    def _leave(self) -> None:
        if self._turn is not None:
            turn, self._turn = self._turn, None
            self._large_messages.leave(turn)

    async def _inflate(self, message: Received) -> bytes:
        """Return a message, large ones from a thread: zlib releases the interpreter lock.

        Raises:
            ProtocolError: it is too long, or its compression is invalid.
        """
        if isinstance(message, bytes):
            return message
        if message.size < LARGE_BYTES:
            return message.inflate()
        return await self._loop.run_in_executor(_INFLATION, message.inflate)

    def _grant_withheld(self) -> None:
        size, self._withheld = self._withheld, 0
        if size:
            self._writer.grant_window(self._stream, size)

    def _fail_stalled(self) -> None:
        self.fail(self._account.refusal(RefusalReason.SLOW_MESSAGE))

    def _send_status(self, code: int, message: str, trailers: Trailers) -> None:
        fields = status_trailers(code, message, trailers) if code or trailers else OK_TRAILERS
        if self._has_sent_headers:
            self._writer.send_trailers(self._stream, fields)
        else:
            self._writer.send_headers(self._stream, [*RESPONSE_HEADERS, *fields], end=True)

    def expire(self) -> None:
        """End the call because its deadline has passed, and drop what the caller has not read of its response."""
        super().expire()
        if self._writer.reset_unsent(self._stream):
            self._code = code_pb2.DEADLINE_EXCEEDED

    def end(self, error_code: int) -> None:
        """Count the call, now that its stream is closed; `error_code`: NO_ERROR if all of the response has left."""
        if self._timer is not None:
            self._timer.cancel()
        self.cancel()
        if error_code and self._code == code_pb2.OK:
            self._code = self._cancel_code()
        super()._close(self._code)
        self.release(self._held)

    def _close(self, code: int) -> None:
        """Keep the status: the deadline holds and the call counts until its response has left."""
        self.is_over = True
        self._code = code
        if self._turn is not None:
            self._leave()
        if self._withheld:
            self._grant_withheld()


class UnaryRequestStream(ServerStream):
    """A call with one request; the handler starts when the caller has half-closed the stream."""

    _message: Received | None = None

    def receive(self, data: bytes, *, end: bool) -> None:
        """Process request bytes; `end`: the caller has half-closed the stream."""
        if self.is_over:
            return
        try:
            for message in self._decoder.feed(data):
                if self._message is not None:
                    raise ProtocolError(code_pb2.UNIMPLEMENTED, "the method takes one request, got a second one")  # noqa: TRY301  one handler for all
                self._message = message
            if not data:
                pass
            elif self._turn is None and self._decoder.is_empty:
                self.hold(len(data))
                self._writer.grant_window(self._stream, len(data))
            else:
                self._accept(len(data))
        except (ProtocolError, BufferFullError) as error:
            self._withheld += len(data)
            self.fail(error)
            return
        if not end:
            return
        if not self._decoder.is_empty:
            self._message = None  # an incomplete message follows it
        if self._message is None or (isinstance(self._message, bytes) and len(self._message) < LARGE_BYTES):
            self._request = self._message
            self.start()
        else:
            self._start_large(self._message)

    def end_if_slow(self, seconds: float) -> bool:
        """End the call if its request has not been complete for longer, and return whether it was."""
        is_waiting = self._turn is not None and not self._turn.has_started
        if (
            self.is_over
            or self._task
            or self._pending
            or is_waiting
            or time.perf_counter() - self._started_at < seconds
        ):
            return False
        text = f"the request was not complete within {seconds:g} s (ONDECK_REQUEST_TIMEOUT_SECONDS)"
        self.fail(ProtocolError(code_pb2.DEADLINE_EXCEEDED, text))
        return True

    def _start_large(self, message: Received) -> None:
        """Start the handler in a turn of the message, whose cost takes the place of the bytes that arrived."""

        def begin() -> None:
            self.release(received_size(message))
            self._task = self._loop.create_task(self._inflate_and_start(message))

        size, turn = message_size(message), self._turn
        self._message = None
        if turn is not None:
            turn.is_arriving = False
        if size >= LARGE_BYTES and (turn is None or turn.message_bytes < size):
            self._enter(size, begin)
        else:
            begin()

    async def _inflate_and_start(self, message: Received) -> None:
        try:
            if message_size(message) < LARGE_BYTES:
                self.hold(message_size(message))
            self._request = await self._inflate(message)
        except (ProtocolError, BufferFullError) as error:
            self._end_with(error)
            return
        self._task = None
        self.start()
