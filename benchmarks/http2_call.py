"""A minimal gRPC client over HTTP/2 for load generators: one call on one connection, with little CPU.

It respects the flow-control windows of the server and opens its own as far as possible: the responses are small.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
STREAM: Final = 1
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_INITIAL_WINDOW: Final = 4  # SETTINGS_INITIAL_WINDOW_SIZE
_DEFAULT_WINDOW: Final = 65_535
_MAX_WINDOW: Final = (1 << 31) - 1
_FRAME_HEADER, _MESSAGE_PREFIX = 9, 5  # bytes


class CallBrokenError(Exception):
    """The call or the connection ended without a half-close of the client."""


class Connection(asyncio.Protocol):
    """A call; `on_message` receives each message, `on_end` the error once the call ends, None on success."""

    def __init__(
        self, path: str, on_message: Callable[[bytes], None], on_end: Callable[[CallBrokenError | None], None]
    ) -> None:
        self._path = path
        self._on_message = on_message
        self._on_end: Callable[[CallBrokenError | None], None] | None = on_end
        self._received = bytearray()
        self._messages = bytearray()
        self._windows = {0: _DEFAULT_WINDOW, STREAM: _DEFAULT_WINDOW}
        self._initial_window = _DEFAULT_WINDOW
        self._half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the call."""
        self._transport = transport = cast("asyncio.Transport", transport)
        settings = _frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, _MAX_WINDOW))
        window = _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _MAX_WINDOW - _DEFAULT_WINDOW))
        transport.write(_PREFACE + settings + window + _frame(HEADERS, END_HEADERS, STREAM, _headers(self._path)))

    def send(self, message: bytes) -> None:
        """Send a request.

        Raises:
            CallBrokenError: a flow-control window of the server is exhausted.
        """
        body = struct.pack(">BI", 0, len(message)) + message
        for stream in self._windows:
            self._windows[stream] -= len(body)
            if self._windows[stream] < 0:
                raise CallBrokenError("the flow-control window of the server is exhausted")
        self._transport.write(_frame(DATA, 0, STREAM, body))

    def half_close(self) -> None:
        """End the sending side of the stream."""
        self._half_closed = True
        self._transport.write(_frame(DATA, END_STREAM, STREAM, b""))

    def close(self) -> None:
        """Close the connection."""
        self._on_end = None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Split received bytes into frames and handle each."""
        self._received += data
        while len(self._received) >= _FRAME_HEADER:
            size = int.from_bytes(self._received[:3], "big")
            if len(self._received) < _FRAME_HEADER + size:
                return
            kind, flags, stream = struct.unpack_from(">BBI", self._received, 3)
            payload = bytes(self._received[_FRAME_HEADER : _FRAME_HEADER + size])
            del self._received[: _FRAME_HEADER + size]
            self._on_frame(kind, flags, stream, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call with an error."""
        self._end(CallBrokenError(f"the connection is lost: {exc}"))

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._messages += payload
            self._deliver_messages()
        elif kind == SETTINGS and not flags & ACK:
            self._apply_settings(payload)
            self._transport.write(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == RESET:
            self._end(CallBrokenError(f"the call was reset: {payload.hex()}"))
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            self._end(None if self._half_closed else CallBrokenError(f"the server ended the call: {payload!r}"))

    def _apply_settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW:
                self._windows[STREAM] += value - self._initial_window
                self._initial_window = value

    def _deliver_messages(self) -> None:
        while len(self._messages) >= _MESSAGE_PREFIX:
            size = _MESSAGE_PREFIX + int.from_bytes(self._messages[1:_MESSAGE_PREFIX], "big")
            if len(self._messages) < size:
                return
            message = bytes(self._messages[_MESSAGE_PREFIX:size])
            del self._messages[:size]
            self._on_message(message)

    def _end(self, error: CallBrokenError | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(error)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _headers(path: str) -> bytes:
    """Encode the request headers as HPACK literals without indexing."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "ondeck"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
    return b"".join(b"\0" + _literal(name) + _literal(value) for name, value in fields)


def _literal(text: str) -> bytes:
    return len(text).to_bytes(1, "big") + text.encode()  # valid below 127 bytes only
