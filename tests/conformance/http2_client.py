"""An HTTP/2 client that works frame by frame: sends what the stock client cannot and shows what it hides."""

import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError

from tests.conformance.stock_client import PREDICT, SECONDS

GRPC = (("te", "trailers"), ("content-type", "application/grpc"))


def frame_message(message: bytes, *, compressed: bool = False) -> bytes:
    """Prefix a message with the five bytes of gRPC framing."""
    return struct.pack(">BI", compressed, len(message)) + message


def connect(target: str) -> socket.socket:
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


@dataclass
class Response:
    """Headers, data and reset code received on a stream."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None

    @property
    def status(self) -> int | None:
        """Return the gRPC status; None if the stream ended without one."""
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None


class Http2Client:
    """One connection, with the h2 state machine in `http`."""

    def __init__(self, target: str) -> None:
        self.socket = connect(target)
        self.http = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        self.goaway: int | None = None
        self.goaway_text = b""
        self.closed = False
        self._events: deque[Event] = deque()
        self._unparsed = b""
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def start_call(self, path: str = PREDICT, *headers: tuple[str, str], method: str = "POST") -> int:
        """Send the request headers of a call."""
        stream = self.http.get_next_available_stream_id()
        first = ((":method", method), (":scheme", "http"), (":path", path), (":authority", "ondeck"))
        self.http.send_headers(stream, (*first, *GRPC, *headers))
        self.flush()
        return stream

    def call(self, body: bytes, path: str = PREDICT, *headers: tuple[str, str]) -> Response:
        """Make a call and wait for its complete response."""
        stream = self.start_call(path, *headers)
        self.send(stream, body, end=True)
        return self.read_response(stream)

    def send(self, stream: int, body: bytes, *, end: bool = False) -> None:
        """Send request bytes as fast as the server grants window."""
        offset, deadline = 0, time.monotonic() + SECONDS
        while offset < len(body) and not self.closed and time.monotonic() < deadline:
            size = min(
                self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size, len(body) - offset
            )
            if size > 0:
                self.http.send_data(stream, body[offset : offset + size])
                self.flush()
                offset += size
            else:
                next(self.events(1), None)
        if end:
            self.http.end_stream(stream)
            self.flush()

    def read_response(self, stream: int, seconds: float = SECONDS) -> Response:
        """Read the response until the end of the call."""
        response = Response()
        for event in self.events(seconds):
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, ResponseReceived | TrailersReceived):
                response.headers |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, DataReceived):
                response.data += event.data
            elif isinstance(event, StreamReset):
                response.reset = int(event.error_code)
            if isinstance(event, StreamReset) or getattr(event, "stream_ended", None) is not None:
                return response
        return response

    def events(self, seconds: float) -> Iterator[Event]:
        """Yield and acknowledge events until the connection closes or `seconds` pass."""
        end = time.monotonic() + seconds
        while self._events:
            yield self._events.popleft()
        while not self.closed and (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(65536)
            except TimeoutError:
                return
            except ConnectionError:
                received = b""
            self.closed = not received
            self._feed(received)
            self._acknowledge()
            while self._events:
                yield self._events.popleft()

    def _feed(self, received: bytes) -> None:
        """Feed h2 one frame at a time: after GOAWAY it discards the rest of the same buffer."""
        self._unparsed += received
        while len(self._unparsed) >= (size := 9 + int.from_bytes(self._unparsed[:3] or b"?" * 9)):
            frame, self._unparsed = self._unparsed[:size], self._unparsed[size:]
            try:
                self._events += self.http.receive_data(frame)
            except ProtocolError:
                self.closed = True

    def _acknowledge(self) -> None:
        for event in self._events:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, ConnectionTerminated):
                self.goaway, self.goaway_text = int(event.error_code or 0), event.additional_data or b""
        try:
            self.flush()
        except ConnectionError:
            self.closed = True


@contextmanager
def open_http2(target: str) -> Iterator[Http2Client]:
    http2 = Http2Client(target)
    try:
        yield http2
    finally:
        http2.socket.close()
