"""gRPC as a load generator needs it: one call over one connection, frame by frame, for a fraction of a client's work.

It sends no more than the other side has room for, and gives it room for everything: the answers are small.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
STREAM: Final = 1
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_INITIAL_WINDOW: Final = 4  # the setting of that number
_USUAL_WINDOW: Final = 65_535
_ROOM: Final = (1 << 31) - 1
_HEAD, _PREFIX = 9, 5


class CallBrokenError(Exception):
    """The call, or the connection, ended in another way than its caller ended it."""


class Connection(asyncio.Protocol):
    """A call; `answered` is given each message, `over` is told once why the call ended, None: in good order."""

    def __init__(
        self, path: str, answered: Callable[[bytes], None], over: Callable[[CallBrokenError | None], None]
    ) -> None:
        self._path = path
        self._answered = answered
        self._over: Callable[[CallBrokenError | None], None] | None = over
        self._come = bytearray()
        self._data = bytearray()
        self._room = {0: _USUAL_WINDOW, STREAM: _USUAL_WINDOW}
        self._initial = _USUAL_WINDOW
        self._half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the call."""
        self._transport = transport = cast("asyncio.Transport", transport)
        settings = _frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, _ROOM))
        room = _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _ROOM - _USUAL_WINDOW))
        transport.write(_PREFACE + settings + room + _frame(HEADERS, END_HEADERS, STREAM, _headers(self._path)))

    def send(self, message: bytes) -> None:
        """Send a request.

        Raises:
            CallBrokenError: the other side has no room for it.
        """
        body = struct.pack(">BI", 0, len(message)) + message
        for stream in self._room:
            self._room[stream] -= len(body)
            if self._room[stream] < 0:
                raise CallBrokenError("the server does not read on")
        self._transport.write(_frame(DATA, 0, STREAM, body))

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self._half_closed = True
        self._transport.write(_frame(DATA, END_STREAM, STREAM, b""))

    def close(self) -> None:
        """Let the connection go."""
        self._over = None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        self._come += data
        while len(self._come) >= _HEAD:
            size = int.from_bytes(self._come[:3], "big")
            if len(self._come) < _HEAD + size:
                return
            kind, flags, stream = struct.unpack_from(">BBI", self._come, 3)
            payload = bytes(self._come[_HEAD : _HEAD + size])
            del self._come[: _HEAD + size]
            self._take(kind, flags, stream, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection has gone."""
        self._end(CallBrokenError(f"the connection ended: {exc}"))

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._data += payload
            self._hand_on()
        elif kind == SETTINGS and not flags & ACK:
            self._settle(payload)
            self._transport.write(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            self._room[stream] += int.from_bytes(payload, "big")
        elif kind == RESET:
            self._end(CallBrokenError(f"the call was reset: {payload.hex()}"))
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            self._end(None if self._half_closed else CallBrokenError(f"the server ended the call: {payload!r}"))

    def _settle(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW:
                self._room[STREAM] += value - self._initial
                self._initial = value

    def _hand_on(self) -> None:
        while len(self._data) >= _PREFIX:
            size = _PREFIX + int.from_bytes(self._data[1:_PREFIX], "big")
            if len(self._data) < size:
                return
            message = bytes(self._data[_PREFIX:size])
            del self._data[:size]
            self._answered(message)

    def _end(self, why: CallBrokenError | None) -> None:
        over, self._over = self._over, None
        if over is not None:
            over(why)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _headers(path: str) -> bytes:
    """Write the headers of a call, each as a literal that nobody need remember."""
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
    return len(text).to_bytes(1, "big") + text.encode()  # below 127 bytes; longer ones are written otherwise
