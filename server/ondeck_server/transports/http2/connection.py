"""One connection: nghttp2 turns bytes into events and answers into bytes; here events become calls."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol, cast

import ngh2
from google.rpc import code_pb2

from ondeck_server.rpc.method import Method
from ondeck_server.transports.http2.context import Http2CallContext, Peer
from ondeck_server.transports.http2.headers import (
    BEGUN,
    CONTENT,
    NOT_GRPC,
    NOT_POST,
    Field,
    RequestHeaders,
    read_head,
    size_of,
    trailers,
)
from ondeck_server.transports.http2.keepalive import ConnectionLifecycle, KeepaliveConfig
from ondeck_server.transports.http2.stream import ServerStream, StreamLimits
from ondeck_server.transports.http2.stream_types import ClientStreaming, UnaryRequest
from ondeck_server.transports.http2.writer import FrameWriter

MOST_METADATA: Final = 16_384  # bytes, as gRPC's core takes
_LARGEST_HEADERS: Final = 1 << 20  # nghttp2 ends the connection of more
_LARGEST_FRAME: Final = 1 << 16
_WIDE_OPEN: Final = (1 << 31) - 1  # the window of a connection: each of its calls has its own
_CLOSING_SECONDS: Final = 2.0  # in which a client should have read the last of it
_RESETS: Final = (10_000, 1_000)  # at once, and a second: who gives up so often is sent away


class ConnectionHost(Protocol):
    """What all connections share."""

    methods: Mapping[bytes, Method]
    bounds: StreamLimits
    terms: KeepaliveConfig
    most_calls: int

    def came(self, connection: "Http2Connection") -> None:
        """Hear of a new connection."""

    def went(self, connection: "Http2Connection") -> None:
        """Hear that one is gone."""


class Http2Connection(asyncio.Protocol):
    """One connection, on the event loop that it came in on."""

    def __init__(self, house: ConnectionHost, peer_of: Callable[[asyncio.BaseTransport], Peer]) -> None:
        self.calls_begun = 0
        self.peer = Peer(address="", identity="")
        self.keeping: ConnectionLifecycle
        self._pen: FrameWriter
        self._house = house
        self._peer_of = peer_of
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._http = ngh2.Connection(
            ngh2.Role.SERVER,
            ngh2.Configuration(
                auto_window_update=False,
                max_inbound_header_list_size=_LARGEST_HEADERS,
                stream_reset_rate_limit=_RESETS,
            ),
        )
        self._calls: dict[int, ServerStream] = {}
        self._closing = False
        self._parting: asyncio.TimerHandle | None = None

    @property
    def calls(self) -> int:
        """Count the calls that are open."""
        return len(self._calls)

    @property
    def busy(self) -> bool:
        """Tell whether a call is open, or a part of an answer waits for a client that reads slowly."""
        return bool(self._calls) or self._transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: tell the client what it may do."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = self._peer_of(transport)
        house = self._house
        self._http.initiate_connection(
            {
                ngh2.Setting.MAX_CONCURRENT_STREAMS: house.most_calls,
                ngh2.Setting.INITIAL_WINDOW_SIZE: house.bounds.window,
                ngh2.Setting.MAX_FRAME_SIZE: _LARGEST_FRAME,
                ngh2.Setting.MAX_HEADER_LIST_SIZE: MOST_METADATA,
            }
        )
        self._http.set_local_window_size(_WIDE_OPEN)
        self.keeping = ConnectionLifecycle(house.terms, self._http, self)
        self._pen = FrameWriter(self._http, self._transport, self.keeping.worked, self._take_events)
        self._house.came(self)
        self._pen.flush_soon()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._closing:
            return
        self.keeping.heard()
        try:
            self._http.receive_data(data)
        except ngh2.NGH2Error:  # the client does not speak HTTP/2, or too much of it; it is told so, if it can be
            self._take_events()
            self.close()
            return
        self._take_events()
        self._pen.flush_soon()

    def pause_writing(self) -> None:
        """Hear that the client reads more slowly than it is written to."""
        self._pen.hold_up()

    def resume_writing(self) -> None:
        """Hear that it has caught up."""
        self._pen.go_on()

    def connection_lost(self, _: Exception | None) -> None:
        """Let go of everything, and of what points back here: nothing is to wait for the garbage collector."""
        self._let_go()
        self._house.went(self)
        if self._parting is not None:
            self._parting.cancel()
        del self._pen, self.keeping

    def flush_soon(self) -> None:
        """Write soon what there is to be written."""
        self._pen.flush_soon()

    def close(self) -> None:
        """Write what can still be written, and end the connection and all its calls."""
        if not self._closing:
            self._leave()
            self._pen.write()
        self._part(_CLOSING_SECONDS)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _let_part(self) -> None:
        """Let the client end the connection, as it does once it has read everything; whoever does not is left.

        What it sends meanwhile means nothing any more. To a closed socket it would be an error, and for some clients a
        reason not to read the last answer.
        """
        self._let_go()
        self._later(_CLOSING_SECONDS, lambda: self._part(self._house.terms.silence))

    def _part(self, seconds: float) -> None:
        """End the connection, once the client has read what was written, within so many seconds."""
        self._let_go()
        self._transport.close()
        self._later(seconds, self._transport.abort)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        if self._parting is not None:
            self._parting.cancel()
        self._parting = self._loop.call_later(seconds, do)

    def _let_go(self) -> None:
        self._closing = True
        self.keeping.end()
        self._pen.drop()
        self._leave()

    def _leave(self) -> None:
        for call in list(self._calls.values()):
            call.leave()
        self._calls.clear()

    def _take_events(self) -> None:
        for event in self._http.events():
            self._hear(event)
        if not self._closing and not self._http.want_read and not self._http.want_write:  # farewell was said, or worse
            self._let_part()

    def _hear(self, event: ngh2.Event) -> None:
        match event:
            case ngh2.DataReceived():
                self._said(event)
            case ngh2.RequestReceived():
                self._begun(event)
            case ngh2.StreamClosed():
                self._closed(event)
            case ngh2.PingReceived():
                self.keeping.pinged()
            case ngh2.PingAcknowledged():
                self.keeping.answered(event.opaque_data)
            case ngh2.TrailersReceived():
                self._said_all(event)

    def _begun(self, event: ngh2.RequestReceived) -> None:
        fields = event.headers
        head, stream = read_head(fields), event.stream_id
        method = self._house.methods.get(head.path)
        refusal = _refusal(head, fields, method)
        if refusal is not None or method is None:
            if event.end_stream:
                self._pen.heard_out(stream)
            self._pen.begin(stream, refusal or [], end=True)
            return
        self.calls_begun += 1
        kind = ClientStreaming if method.many_requests else UnaryRequest
        call = Http2CallContext(method.name, self.peer, head, fields, self._loop.time)
        self._calls[stream] = kind(self._pen, stream, method, call, self._house.bounds)
        if event.end_stream:
            self._pen.heard_out(stream)
            self._calls[stream].take(b"", end=True)

    def _said(self, event: ngh2.DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        if event.end_stream:
            self._pen.heard_out(event.stream_id)
        if call is None or call.over:
            self._pen.let(event.stream_id, len(event.data))
        else:
            call.take(event.data, end=event.end_stream)

    def _said_all(self, event: ngh2.TrailersReceived) -> None:
        self._pen.heard_out(event.stream_id)
        call = self._calls.get(event.stream_id)
        if call is not None:
            call.take(b"", end=True)

    def _closed(self, event: ngh2.StreamClosed) -> None:
        call = self._calls.pop(event.stream_id, None)
        self._pen.forget(event.stream_id)
        if call is not None:
            call.leave()


def _refusal(head: RequestHeaders, fields: tuple[Field, ...], method: Method | None) -> list[Field] | None:
    """Tell how a call that is none of ours is answered."""
    if head.method != b"POST":
        return NOT_POST
    if not head.content_type.startswith(CONTENT):
        return NOT_GRPC
    if size_of(fields) > MOST_METADATA:
        text = f"the call's metadata have more than {MOST_METADATA} bytes"
        return [*BEGUN, *trailers(code_pb2.RESOURCE_EXHAUSTED, text, ())]
    if method is None:
        return [*BEGUN, *trailers(code_pb2.UNIMPLEMENTED, "there is no such method", ())]
    return None
