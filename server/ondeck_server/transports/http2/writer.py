"""Writes frames to one connection, once per turn of the event loop and no faster than the client reads."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import ngh2

from ondeck_server.transports.http2.byte_accounts import ByteAccount
from ondeck_server.transports.http2.wire_format import Field

_MAX_QUEUED: Final = 1 << 16  # bytes of a stream that wait for its flow control window
_PART: Final = 1 << 16  # bytes that are written at a time: the socket has no more of a client that does not read


class FrameWriter:
    """Calls `on_data_sent` when response data leaves, and `on_write` after every write to the socket."""

    def __init__(
        self,
        http: ngh2.Connection,
        transport: asyncio.WriteTransport,
        account: ByteAccount,
        on_data_sent: Callable[[], None],
        on_write: Callable[[], None],
    ) -> None:
        self.peer = account.peer
        self.account = account
        self._http = http
        self._on_data_sent = on_data_sent
        self._on_write = on_write
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = transport
        self._half_closed: set[int] = set()  # streams whose client has sent END_STREAM
        self._to_reset: set[int] = set()  # streams that the server ended before that
        self._writable: dict[int, asyncio.Future[None]] = {}
        self._is_flush_scheduled = self._is_paused = False

    def close(self) -> None:
        """Stop writing."""
        self._transport = None

    def send_headers(self, stream: int, fields: list[Field], *, end: bool = False) -> None:
        """Send the response headers."""
        self._on_data_sent()
        try:
            self._http.send_response(stream, fields, end_stream=end)
        except ngh2.NGH2Error:  # the stream or the session has ended; its event is about to be processed
            return
        self._after_send(stream, end=end)

    def send_data(self, stream: int, data: bytes) -> None:
        """Send bytes as the flow control window permits."""
        try:
            self._http.send_data(stream, data)
        except ngh2.NGH2Error:  # as above
            return
        self._after_send(stream, end=False)

    def send_trailers(self, stream: int, fields: list[Field]) -> None:
        """Send the trailers, which end the stream."""
        try:
            self._http.send_trailers(stream, fields)
        except ngh2.NGH2Error:  # as above
            return
        self._after_send(stream, end=True)

    def reset_unsent(self, stream: int) -> bool:
        """Send RST_STREAM(CANCEL) if response data wait for the client to read, and return whether they did."""
        if not self._is_paused:
            self.write()
        if self._transport is None or not self._http.queued_body_size(stream):
            return False
        self.reset(stream, ngh2.ErrorCode.CANCEL)
        return True

    def reset(self, stream: int, code: int) -> None:
        """Send RST_STREAM."""
        with suppress(ngh2.NGH2Error):  # as above
            self._http.reset_stream(stream, code)
        self.flush_soon()

    def grant_window(self, stream: int, size: int) -> None:
        """Enlarge the client's flow control window."""
        if self._transport is None:
            return
        try:
            self._http.acknowledge_received_data(size, stream)
        except ngh2.NGH2Error:  # as above
            return
        self.flush_soon()

    def is_blocked(self, stream: int) -> bool:
        """Return whether too many bytes of the stream wait for the client to read."""
        queued = self.queued_bytes(stream)
        return queued > _MAX_QUEUED or (queued > 0 and self.account.used > self.account.crowded)

    def queued_bytes(self, stream: int) -> int:
        """Return how many bytes of a stream wait for the client to read."""
        return self._http.queued_body_size(stream) if self._transport is not None else 0

    def wait_writable(self, stream: int) -> Awaitable[None]:
        """Return an awaitable that ends when the stream is no longer blocked."""
        waiter = self._writable[stream] = self._loop.create_future()
        return waiter

    def mark_half_closed(self, stream: int) -> None:
        """Record that the client has sent END_STREAM."""
        self._half_closed.add(stream)

    def forget(self, stream: int) -> bool:
        """Drop the state of a stream that is closed on both sides, and return whether its client had half-closed it."""
        is_half_closed = stream in self._half_closed
        self._half_closed.discard(stream)
        self._to_reset.discard(stream)
        self._writable.pop(stream, None)
        return is_half_closed

    def pause(self) -> None:
        """Write nothing until `resume`: the client does not read."""
        self._is_paused = True

    def resume(self) -> None:
        """Write again."""
        self._is_paused = False
        self.flush_soon()

    def flush_soon(self) -> None:
        """Write at the end of this turn of the event loop, once for everything that is sent until then."""
        if not self._is_flush_scheduled and self._has_work():
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _has_work(self) -> bool:
        """Return whether there are frames to write or streams that wait: a write of nothing is as slow as a call's."""
        try:
            return self._http.want_write or bool(self._writable or self._to_reset)
        except ngh2.NGH2Error:  # as above
            return False

    def write(self, *, everything: bool = False) -> None:
        """Write the frames that are ready until the client reads too slowly; `everything`: even then."""
        if self._transport is None:
            return
        queued = self._http.queued_body_size()
        try:
            data = self._http.data_to_send(_PART)
            while data:
                self._transport.write(data)
                if len(data) < _PART or (self._is_paused and not everything):
                    break
                data = self._http.data_to_send(_PART)
        except ngh2.NGH2Error:  # the connection has failed and cannot be written to
            return
        if self._http.queued_body_size() < queued:
            self._on_data_sent()
        self._on_write()

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        if self._is_paused:
            return
        self.write()
        if self._transport is None:
            return
        if self._to_reset:
            self._reset_ended()
        if self._writable:
            self._wake_writable()

    def _after_send(self, stream: int, *, end: bool) -> None:
        if end and stream not in self._half_closed:
            self._to_reset.add(stream)
        self.flush_soon()

    def _reset_ended(self) -> None:
        """Send RST_STREAM(NO_ERROR) on streams whose response is complete: the rest of the request is not needed."""
        complete = [stream for stream in self._to_reset if not self._http.queued_body_size(stream)]
        for stream in complete:
            self._to_reset.discard(stream)
            with suppress(ngh2.NGH2Error):  # as above
                self._http.reset_stream(stream, ngh2.ErrorCode.NO_ERROR)
        if complete:
            self.write()

    def _wake_writable(self) -> None:
        for stream in [each for each in self._writable if not self.is_blocked(each)]:
            waiter = self._writable.pop(stream)
            if not waiter.done():
                waiter.set_result(None)
