"""One connection: nghttp2 turns bytes into events and frames into bytes; events become calls here."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol, cast

import ngh2

from ondeck_server.rpc.method import Method
from ondeck_server.security.identity import Peer
from ondeck_server.transports.http2.admission import Admission, Usage, create_session, initiate
from ondeck_server.transports.http2.client_stream import ClientStream
from ondeck_server.transports.http2.keepalive import ConnectionLifecycle, KeepaliveConfig
from ondeck_server.transports.http2.rejection import (
    RefusalReason,
    Refusals,
    RefusedConnection,
    goaway,
    negotiated,
    reason_of_first,
    reject_first,
)
from ondeck_server.transports.http2.stream import ServerStream, UnaryRequestStream
from ondeck_server.transports.http2.stream_writer import StreamLimits
from ondeck_server.transports.http2.wire_format import FRAME_HEADER_BYTES, UNKNOWN_METHOD, HeaderParser, refusal_of
from ondeck_server.transports.http2.writer import FrameWriter

_MIN_PART_BYTES: Final = 1 << 11
_MAX_PART_BYTES: Final = 1 << 14  # received bytes whose events exist at once: a byte may stand for a whole header field
_USUAL_END: Final = frozenset({ngh2.ErrorCode.NO_ERROR, ngh2.ErrorCode.CANCEL})  # of a stream
_TURN_SECONDS: Final = 0.001  # of work on received bytes; the rest waits until other connections have had their turn
_CLOSE_SECONDS: Final = 2.0  # for the client to read the last bytes and close


class ConnectionHost(Protocol):
    """What the connections of a server share."""

    methods: Mapping[bytes, Method]
    limits: StreamLimits
    admission: Admission
    refusals: Refusals
    keepalive: KeepaliveConfig
    max_concurrent_streams: int

    def opened(self, connection: "Http2Connection") -> None:
        """Register a new connection."""

    def closed(self, connection: "Http2Connection") -> None:
        """Unregister a connection."""


class Http2Connection(asyncio.Protocol):
    """One connection, on the event loop that accepted it."""

    def __init__(self, host: ConnectionHost, peer_of: Callable[[asyncio.BaseTransport], Peer]) -> None:
        self.calls_started = 0
        self.lifecycle: ConnectionLifecycle
        self.peer = Peer(address="", identity="")
        self._writer: FrameWriter
        self._usage: Usage
        self._host = host
        self._peer_of = peer_of
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._http = create_session()
        self._streams: dict[int, ServerStream] = {}
        self._parse_headers = HeaderParser().parse
        self._is_rejected = self._is_closing = self._is_lost = self._has_received = False
        self._unprocessed = b""  # reading is paused while it is not empty
        self._request_bytes = 0  # of the part of received bytes that is processed
        self._close_timer: asyncio.TimerHandle | None = None

    @property
    def calls(self) -> int:
        """Number of open calls."""
        return len(self._streams)

    @property
    def is_busy(self) -> bool:
        """Return whether a call is open or response bytes wait for the client to read."""
        return bool(self._streams) or self._transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare the settings, which leave in response to the first bytes: these may be of another protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = self._peer_of(transport)
        host = self._host
        if not negotiated(transport):
            host.refusals.log_connection(self.peer, RefusalReason.NO_ALPN, "TLS did not negotiate h2 by ALPN")
            self._transport.set_protocol(RefusedConnection(self._transport, ngh2.ErrorCode.INADEQUATE_SECURITY))
            return
        if (usage := host.admission.admit(self.peer)) is None:
            self._transport.set_protocol(RefusedConnection(self._transport, ngh2.ErrorCode.ENHANCE_YOUR_CALM))
            return
        self._usage = usage
        initiate(self._http, host.max_concurrent_streams, host.limits.window)
        self.lifecycle = ConnectionLifecycle(host.keepalive, self._http, self)
        self._writer = FrameWriter(
            self._http,
            self._transport,
            host.admission.account(usage, self.peer, self._end_largest),
            self.lifecycle.on_data_sent,
            self._process_events,
        )
        host.opened(self)

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        if self._is_closing:
            return
        self.lifecycle.on_received()
        if self._unprocessed:
            self._unprocessed += data
        else:
            self._receive_for_a_turn(data)

    def pause_writing(self) -> None:
        """Stop writing: the client reads too slowly."""
        self._writer.pause()

    def resume_writing(self) -> None:
        """Write again."""
        self._writer.resume()

    def connection_lost(self, _: Exception | None) -> None:
        """Cancel all calls and drop every reference back to here, so that nothing waits for the garbage collector."""
        self._stop()
        self._is_lost = True
        self._writer.account.close()
        self._host.admission.leave(self.peer)
        self._host.closed(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
        del self._writer, self.lifecycle

    def flush_soon(self) -> None:
        """Write frames that are ready."""
        self._writer.flush_soon()

    def close(self) -> None:
        """Write what is ready, cancel the other calls and end the connection."""
        if self._is_lost:
            return
        if not self._is_closing:
            self._writer.write(everything=True)
            self._cancel_calls()
        self._close_within(_CLOSE_SECONDS)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _await_client_close(self) -> None:
        """Wait until the client closes the connection, as it does once it has read everything; then close it here.

        Bytes that the client sends meanwhile are ignored. A closed socket would answer them with a reset, at which some
        clients discard the last response.
        """
        self._stop()
        self._set_close_timer(_CLOSE_SECONDS, lambda: self._close_within(self._host.keepalive.max_silence))

    def _close_within(self, seconds: float) -> None:
        """Close once the client has read what was written, abort after `seconds`."""
        self._stop()
        self._transport.close()
        self._set_close_timer(seconds, self._transport.abort)

    def _receive_for_a_turn(self, data: bytes) -> None:
        """Process received bytes until the turn of this connection is over; the rest follows in the next one."""
        end, at, size = time.perf_counter() + _TURN_SECONDS, 0, _MIN_PART_BYTES
        while at < len(data):
            if at and time.perf_counter() > end:
                self._unprocessed = data[at:]
                self._transport.pause_reading()
                self._loop.call_soon(self._receive_rest)
                break
            if not self._receive(data[at : at + size]):
                return
            at, size = at + size, min(2 * size, _MAX_PART_BYTES)
        self._writer.flush_soon()

    def _receive_rest(self) -> None:
        if self._is_closing:
            return
        data, self._unprocessed = self._unprocessed, b""
        self._receive_for_a_turn(data)
        if not self._unprocessed and not self._transport.is_closing():
            self._transport.resume_reading()

    def _receive(self, data: bytes) -> bool:
        """Process received bytes and return whether the connection stays open."""
        try:
            self._http.receive_data(data)
        except ngh2.NGH2Error as error:  # invalid HTTP/2, or a limit is exceeded
            self._reject(data, error)
            return False
        self._has_received = True
        self._request_bytes = 0
        self._process_events()
        self.lifecycle.on_overhead(len(data) - self._request_bytes)
        return not self._is_closing

    def count_refusal(self, reason: RefusalReason) -> None:
        """Count why the connection ends."""
        self._host.refusals.count(reason)

    def end_slow_requests(self, seconds: float) -> None:
        """End the calls whose request has not been complete for longer."""
        for stream in list(self._streams.values()):
            if stream.end_if_slow(seconds):
                self.count_refusal(RefusalReason.SLOW_REQUEST)

    def reject(self, reason: RefusalReason, text: str) -> None:
        """Log and count the reason, write what is ready, with GOAWAY, and end the connection."""
        self._is_rejected = True
        self._host.refusals.log_connection(self.peer, reason, text)
        self._writer.write()
        self._await_client_close()

    def _end_largest(self, reason: RefusalReason) -> None:
        with suppress(ngh2.NGH2Error):  # the session has ended
            self._http.send_goaway(ngh2.ErrorCode.ENHANCE_YOUR_CALM, debug_data=b"too_many_bytes")
        self.reject(reason, "its messages take more bytes than those of any other connection")

    def _reject(self, data: bytes, error: ngh2.NGH2Error) -> None:
        """End a connection on which nghttp2 has failed, and so neither reads nor writes."""
        is_flood = isinstance(error, ngh2.DenialOfServiceError)
        code = ngh2.ErrorCode.ENHANCE_YOUR_CALM if is_flood else ngh2.ErrorCode.PROTOCOL_ERROR
        self._transport.write(goaway(code) if self._has_received else reject_first(data, code))
        reason = RefusalReason.FLOOD if is_flood else RefusalReason.PROTOCOL_ERROR
        self.reject(reason if self._has_received or is_flood else reason_of_first(data), str(error))

    def _set_close_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._close_timer = self._loop.call_later(seconds, callback)

    def _stop(self) -> None:
        self._is_closing = True
        self.lifecycle.end()
        self._writer.close()
        self._cancel_calls()

    def _cancel_calls(self) -> None:
        for stream_id in list(self._streams):
            self._end_call(stream_id, ngh2.ErrorCode.CANCEL)

    def _end_call(self, stream_id: int, error_code: int) -> None:
        if (stream := self._streams.pop(stream_id, None)) is not None:
            self._usage.calls -= 1
            self._host.admission.total.calls -= 1
            stream.end(error_code)

    def _process_events(self) -> None:
        events = self._http.events()
        if events:
            self.lifecycle.on_frame()
        for event in events:
            self._process(event)
        if not self._is_closing and self._has_session_ended():
            self._await_client_close()

    def _has_session_ended(self) -> bool:
        """Return whether the final GOAWAY has left and no call is open."""
        try:
            return not self._http.want_read and not self._http.want_write
        except ngh2.ConnectionStateError:  # the session has failed; `data_received` ends it
            return False

    def _process(self, event: ngh2.Event) -> None:
        match event:
            case ngh2.DataReceived():
                self._on_data(event)
            case ngh2.RequestReceived():
                self._on_headers(event)
            case ngh2.StreamClosed():
                self._on_stream_closed(event)
            case ngh2.StreamReset():
                self._writer.mark_half_closed(event.stream_id)
                self.lifecycle.on_reset()
            case ngh2.PingReceived():
                self.lifecycle.on_ping()
            case ngh2.PingAcknowledged():
                self.lifecycle.on_ping_acknowledged(event.opaque_data)
            case ngh2.TrailersReceived():
                self._on_trailers(event)
            case ngh2.ConnectionClosed() if event.error_code:
                self._on_connection_closed(event)

    def _on_headers(self, event: ngh2.RequestReceived) -> None:
        if self._is_closing:
            return
        headers, stream_id = self._parse_headers(event.headers), event.stream_id
        self._request_bytes += headers.size
        method = self._host.methods.get(headers.path)
        refusal = refusal_of(headers, is_known=method is not None)
        if event.end_stream:
            self._writer.mark_half_closed(stream_id)
        if refusal is not None or method is None:
            reason, code, fields = refusal or UNKNOWN_METHOD
            self._host.refusals.log_call(self.peer, reason, method.metrics if method else None, code)
            self._writer.send_headers(stream_id, fields, end=True)
            return
        usage, total = self._usage, self._host.admission.total
        if usage.calls >= usage.max_calls or total.calls >= total.max_calls:
            self._host.admission.count_refused_call(usage, self.peer, method.metrics)
            self._writer.reset(stream_id, ngh2.ErrorCode.REFUSED_STREAM)
            return
        usage.calls += 1
        total.calls += 1
        self.calls_started += 1
        kind = ClientStream if method.client_streaming else UnaryRequestStream
        stream = self._streams[stream_id] = kind(self._writer, stream_id, method, headers, self._host.limits)
        if self._writer.account.used > self._writer.account.allowed:
            stream.fail_if_full()
        if event.end_stream:
            stream.receive(b"", end=True)

    def _on_data(self, event: ngh2.DataReceived) -> None:
        self._request_bytes += len(event.data) + min(len(event.data), FRAME_HEADER_BYTES)
        stream = self._streams.get(event.stream_id)
        if event.end_stream:
            self._writer.mark_half_closed(event.stream_id)
        if stream is None or stream.is_over:
            self._writer.grant_window(event.stream_id, len(event.data))
        else:
            stream.receive(event.data, end=event.end_stream)

    def _on_trailers(self, event: ngh2.TrailersReceived) -> None:
        self._writer.mark_half_closed(event.stream_id)
        if (stream := self._streams.get(event.stream_id)) is not None:
            stream.receive(b"", end=True)

    def _on_connection_closed(self, event: ngh2.ConnectionClosed) -> None:
        """Count and log that nghttp2 has ended the connection by GOAWAY, which has been written."""
        if self._is_closing or self._is_rejected:
            return
        is_flood = event.error_code == ngh2.ErrorCode.ENHANCE_YOUR_CALM
        reason = RefusalReason.FLOOD if is_flood else RefusalReason.PROTOCOL_ERROR
        text = event.debug_data.decode("ascii", "replace") or f"the connection ended with error {event.error_code}"
        self._host.refusals.log_connection(self.peer, reason, text)

    def _on_stream_closed(self, event: ngh2.StreamClosed) -> None:
        if not self._writer.forget(event.stream_id):
            self.lifecycle.on_early_end(self._host.limits.window)
        if event.error_code not in _USUAL_END:
            self.lifecycle.on_reset()
        self._end_call(event.stream_id, event.error_code)
