"""HTTP/2 frames as bytes, valid or not, and a connection that sends them and collects what the server answers."""

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import hpack
from google.rpc import code_pb2

from tests.conformance.http2_client import frame_message

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9
PREFIX_BYTES: Final = 5  # of a gRPC message
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
INITIAL_WINDOW_SIZE: Final = 4  # of the settings
SOURCE: Final = "127.0.0.2"  # an attacker has an address of its own
TIMEOUT: Final = 20.0  # seconds, for connecting on a busy machine
FRAME_BYTES: Final = 1 << 14  # of DATA
_READ_BYTES: Final = 1 << 16

Fields = Iterable[tuple[str, str]]


class FrameType(IntEnum):
    """Frame types of RFC 9113 and RFC 9218; the names are those of the documents."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    PRIORITY_UPDATE = 16
    UNKNOWN = 0xEE


class ErrorCode(IntEnum):
    """Error codes of RFC 9113."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    """Return a SETTINGS frame."""
    return frame(FrameType.SETTINGS, payload=b"".join(struct.pack(">HI", *each) for each in (values or {}).items()))


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(FrameType.WINDOW_UPDATE, stream=stream, payload=struct.pack(">I", increment))


def reset(stream: int, code: int = ErrorCode.CANCEL) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(FrameType.RST_STREAM, stream=stream, payload=struct.pack(">I", code))


def literal(name: str, value: str, *, index: bool = False) -> bytes:
    """Return a header field as an HPACK literal, which enters the dynamic table if `index`."""
    first = b"\x40" if index else b"\0"
    return first + b"".join(_integer(len(each), 7) + each.encode() for each in (name, value))


def _integer(value: int, bits: int) -> bytes:
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    encoded, value = bytearray([limit]), value - limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])


def header_block(path: str, extra: Fields = ()) -> bytes:
    """Return the header block of a call, independent of the state of the connection."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "ondeck"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *extra,
    )
    return b"".join(literal(*each) for each in fields)


def headers(stream: int, path: str, extra: Fields = (), *, end: bool = False) -> bytes:
    """Return the HEADERS frame of a call."""
    return frame(FrameType.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, header_block(path, extra))


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    """Return a DATA frame."""
    return frame(FrameType.DATA, END_STREAM if end else 0, stream, payload)


def call(stream: int, path: str, message: bytes, extra: Fields = ()) -> bytes:
    """Return the frames of a call with one short message."""
    return headers(stream, path, extra) + data(stream, frame_message(message), end=True)


@dataclass
class Answer:
    """What the server sent: kinds of answers with their counts, and whether it closed the connection.

    OK counts as such only if complete messages came before it.
    """

    seen: dict[str, int] = field(default_factory=dict)
    is_closed: bool = False

    @property
    def is_over(self) -> bool:
        """Return whether the server has ended the connection, or is about to."""
        return self.is_closed or any(each.startswith("GOAWAY") for each in self.seen)

    def add(self, what: str) -> None:
        """Count an answer."""
        self.seen[what] = self.seen.get(what, 0) + 1


class RawConnection:
    """A connection that sends any bytes; `tls` wraps it, `preface` begins it as HTTP/2 requires.

    If `is_acknowledging` it acknowledges the settings, after which they hold for the server, and pings.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: ssl.SSLContext | None = None,
        preface: bytes = PREFACE + settings(),
        receive_buffer: int | None = None,
        is_acknowledging: bool = True,
    ) -> None:
        host, _, port = target.rpartition(":")
        raw = socket.socket()
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.bind((SOURCE, 0))
        raw.settimeout(TIMEOUT)
        raw.connect((host, int(port)))
        self.socket = tls.wrap_socket(raw, server_hostname=host) if tls else raw
        self.answer = Answer()
        self._is_acknowledging = is_acknowledging
        self._received = bytearray()
        self._decoder = hpack.Decoder()
        self._decoder.max_header_list_size = 1 << 24
        self._is_http1 = False
        self._ended = set[int]()  # streams with a status or RST_STREAM
        self._bodies = dict[int, bytearray]()  # by stream; empty after a complete message
        self._initial_window, self._window_updates = 65_535, dict[int, int]()
        self.send(preface)

    def send(self, content: bytes, seconds: float = TIMEOUT) -> bool:
        """Send bytes; return whether the server took them."""
        self.socket.settimeout(seconds)
        try:
            self.socket.sendall(content)
        except TimeoutError:
            return False
        except OSError:  # reset by the server, which has closed
            return False
        return True

    def upload(self, stream: int, content: bytes, seconds: float, *, end: bool = True) -> None:
        """Send the body of a request as fast as the server grants window, until it ends the stream."""
        until, at = time.monotonic() + seconds, 0
        while at < len(content) and not self._is_ended(stream) and time.monotonic() < until:
            window = self._initial_window + self._window_updates.get(stream, 0) - at
            part = content[at : at + min(window, FRAME_BYTES)] if window > 0 else b""
            if not part:
                self.read(0.05, is_once=True)
                continue
            at += len(part)
            if not self.send(data(stream, part, end=end and at == len(content)), seconds):
                return
            if at % (16 * FRAME_BYTES) == 0:
                self.read(0)

    def read(self, seconds: float, *, until: int | None = None, is_once: bool = False) -> Answer:
        """Read until GOAWAY or the end, time is up, or `until` answers are there; `is_once`: what comes first."""
        end = time.monotonic() + seconds
        while not self.answer.is_over and (left := end - time.monotonic()) > 0:
            if until is not None and sum(self.answer.seen.values()) >= until:
                break
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(_READ_BYTES)
            except TimeoutError:
                break
            except OSError:
                received = b""
            self.answer.is_closed = not received
            self._received += received
            self._parse()
            if is_once:
                break
        return self.answer

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def _is_ended(self, stream: int) -> bool:
        return self.answer.is_over or stream in self._ended

    def _parse(self) -> None:
        if self._is_http1 or self._received.startswith(b"HTTP/1"):
            if not self._is_http1:
                self.answer.add(self._received[:12].decode())
            self._is_http1 = True
            return
        at = 0
        while len(self._received) - at >= HEADER_BYTES:
            size = int.from_bytes(self._received[at : at + 3])
            end = at + HEADER_BYTES + size
            if len(self._received) < end:
                break
            stream = int.from_bytes(self._received[at + 5 : at + 9])
            if self._received[at + 3 : at + 5] == bytes([FrameType.PING, 0]) and self._is_acknowledging:
                self.send(frame(FrameType.PING, ACK, payload=bytes(self._received[at + HEADER_BYTES : end])))
            self._on_frame(self._received[at + 3], stream, bytes(self._received[at + HEADER_BYTES : end]))
            at = end
        del self._received[:at]

    def _on_frame(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == FrameType.GOAWAY:
            self.answer.add(f"GOAWAY {ErrorCode(int.from_bytes(payload[4:8])).name}")
        elif kind == FrameType.RST_STREAM:
            self._ended.add(stream)
            self.answer.add(f"RST_STREAM {ErrorCode(int.from_bytes(payload)).name}")
        elif kind == FrameType.HEADERS:
            found = {_text(name): _text(value) for name, value in self._decoder.decode(payload)}
            if "grpc-status" in found:
                self._add_status(stream, int(found["grpc-status"]))
            elif found.get(":status", "200") != "200":
                self.answer.add(f":status {found[':status']}")
        elif kind == FrameType.DATA:
            self._add_data(stream, payload)
        elif kind == FrameType.WINDOW_UPDATE:
            self._window_updates[stream] = self._window_updates.get(stream, 0) + int.from_bytes(payload)
        elif kind == FrameType.SETTINGS and payload:
            if self._is_acknowledging:
                self.send(frame(FrameType.SETTINGS, ACK))
            values = dict(struct.iter_unpack(">HI", payload))
            self._initial_window = values.get(INITIAL_WINDOW_SIZE, self._initial_window)

    def _add_data(self, stream: int, payload: bytes) -> None:
        content = self._bodies.setdefault(stream, bytearray())
        content += payload
        while len(content) >= PREFIX_BYTES and len(content) >= (end := PREFIX_BYTES + int.from_bytes(content[1:5])):
            del content[:end]

    def _add_status(self, stream: int, code: int) -> None:
        self._ended.add(stream)
        is_complete = not self._bodies.pop(stream, b"none")
        name = code_pb2.Code.Name(code)
        self.answer.add(name if code or is_complete else f"{name} without its message")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
