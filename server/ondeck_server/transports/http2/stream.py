"""One call on an HTTP/2 stream: its bytes become requests, its responses become DATA frames."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from google.protobuf.message import Message
from google.rpc import code_pb2

from ondeck_server.rpc.errors import ProtocolError, UnreadableRequestError
from ondeck_server.rpc.method import Method
from ondeck_server.rpc.server_call import ServerCall, Trailers
from ondeck_server.security.identity import Peer
from ondeck_server.transports.http2.request_queue import RequestQueue
from ondeck_server.transports.http2.wire_format import (
    GZIP_RESPONSE_HEADERS,
    OK_TRAILERS,
    RESPONSE_HEADERS,
    Field,
    MessageDecoder,
    RequestHeaders,
    encode,
    status_trailers,
    text_metadata,
)


class StreamWriter(Protocol):
    """What a stream needs of its connection; `stream` is the stream id."""

    peer: Peer

    def send_headers(self, stream: int, fields: list[Field], *, end: bool = False) -> None:
        """Send the response headers."""

    def send_data(self, stream: int, data: bytes) -> None:
        """Send bytes as the flow control window permits."""

    def send_trailers(self, stream: int, fields: list[Field]) -> None:
        """Send the trailers, which end the stream."""

    def reset_unsent(self, stream: int) -> bool:
        """Reset a stream if response bytes wait for the caller to read; return whether they did."""

    def grant_window(self, stream: int, size: int) -> None:
        """Enlarge the caller's flow control window."""

    def is_blocked(self, stream: int) -> bool:
        """Return whether too many bytes of the stream wait for the caller to read."""

    def wait_writable(self, stream: int) -> Awaitable[None]:
        """Return an awaitable that ends when the stream is no longer blocked."""


@dataclass(frozen=True, kw_only=True)
class StreamLimits:
    """Limits in bytes; `compression_threshold` is the smallest response that is compressed, None: none is."""

    max_message: int
    window: int
    compression_threshold: int | None


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
        if not self._has_sent_headers:
            self._has_sent_headers = True
            headers = RESPONSE_HEADERS if self._compression_threshold is None else GZIP_RESPONSE_HEADERS
            self._writer.send_headers(self._stream, headers)
        self._writer.send_data(self._stream, encode(message, self._compression_threshold))
        if self._method.server_streaming and self._writer.is_blocked(self._stream):
            return self._writer.wait_writable(self._stream)
        return None

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

    def _close(self, code: int) -> None:
        """Keep the status: the deadline holds and the call counts until its response has left."""
        self.is_over = True
        self._code = code


class UnaryRequestStream(ServerStream):
    """A call with one request; the handler starts when the caller has half-closed the stream."""

    def receive(self, data: bytes, *, end: bool) -> None:
        """Process request bytes; `end`: the caller has half-closed the stream."""
        if self.is_over:
            return
        if data:
            self._writer.grant_window(self._stream, len(data))
        try:
            for message in self._decoder.feed(data):
                if self._request is not None:
                    raise ProtocolError(code_pb2.UNIMPLEMENTED, "the method takes one request, got a second one")  # noqa: TRY301  one handler for all
                self._request = message
        except ProtocolError as error:
            self.fail(error)
            return
        if end:
            if not self._decoder.is_empty:
                self._request = None  # an incomplete message follows it
            self.start()

    def end_if_slow(self, seconds: float) -> bool:
        """End the call if its request has not been complete for longer, and return whether it was."""
        if self.is_over or self._task is not None or time.perf_counter() - self._started_at < seconds:
            return False
        text = f"the request was not complete within {seconds:g} s (ONDECK_REQUEST_TIMEOUT_SECONDS)"
        self.fail(ProtocolError(code_pb2.DEADLINE_EXCEEDED, text))
        return True


class ClientStream(ServerStream):
    """A call with a stream of requests; the handler starts at once and receives them as they arrive."""

    def __init__(
        self, writer: StreamWriter, stream: int, method: Method, headers: RequestHeaders, limits: StreamLimits
    ) -> None:
        super().__init__(writer, stream, method, headers, limits)
        self._queue: RequestQueue[Message] = RequestQueue(
            method.decode, limits.window, lambda size: writer.grant_window(stream, size)
        )
        self._requests = self._queue
        self.start()

    def receive(self, data: bytes, *, end: bool) -> None:
        """Process request bytes; `end`: the caller has half-closed the stream."""
        if self.is_over:
            return
        try:
            self._queue.put(self._decoder.feed(data), len(data))
        except ProtocolError as error:
            self._writer.grant_window(self._stream, len(data))
            self.fail(error)
            return
        if not end:
            return
        if self._decoder.is_empty:
            self._queue.end()
        else:
            self.fail(UnreadableRequestError("the call ended in the middle of a message"))

    def _close(self, code: int) -> None:
        super()._close(code)
        self._queue.drop()
