"""A client that speaks HTTP/2 frame by frame, to say what the stock client never would, and to see what it hides."""

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


def framed(message: bytes, *, compressed: bool = False) -> bytes:
    """Put a message behind the five bytes that gRPC puts before each."""
    return struct.pack(">BI", compressed, len(message)) + message


def connected(target: str) -> socket.socket:
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS)


@dataclass
class Answer:
    """What came back on a stream."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None

    @property
    def status(self) -> int | None:
        """Tell the gRPC status; None: the stream ended without one."""
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None


class Wire:
    """One connection."""

    def __init__(self, target: str) -> None:
        self.socket = connected(target)
        self.http = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        self.goaway: int | None = None
        self.ended = False
        self._come: deque[Event] = deque()
        self._unheard = b""
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def open(self, path: str = PREDICT, *headers: tuple[str, str], method: str = "POST") -> int:
        """Begin a call, and say nothing yet."""
        stream = self.http.get_next_available_stream_id()
        first = ((":method", method), (":scheme", "http"), (":path", path), (":authority", "ondeck"))
        self.http.send_headers(stream, (*first, *GRPC, *headers))
        self.flush()
        return stream

    def ask(self, body: bytes, path: str = PREDICT, *headers: tuple[str, str]) -> Answer:
        """Make a call, and wait for all of its answer."""
        stream = self.open(path, *headers)
        self.say(stream, body, end=True)
        return self.answer(stream)

    def say(self, stream: int, body: bytes, *, end: bool = False) -> None:
        """Send a part of a call, as fast as the server makes room for it."""
        at, waited = 0, time.monotonic() + SECONDS
        while at < len(body) and not self.ended and time.monotonic() < waited:
            room = min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size, len(body) - at)
            if room > 0:
                self.http.send_data(stream, body[at : at + room])
                self.flush()
                at += room
            else:
                next(self.events(1), None)
        if end:
            self.http.end_stream(stream)
            self.flush()

    def answer(self, stream: int, seconds: float = SECONDS) -> Answer:
        """Wait for the end of a call."""
        answer = Answer()
        for event in self.events(seconds):
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, ResponseReceived | TrailersReceived):
                answer.headers |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, DataReceived):
                answer.data += event.data
            elif isinstance(event, StreamReset):
                answer.reset = int(event.error_code)
            if isinstance(event, StreamReset) or getattr(event, "stream_ended", None) is not None:
                return answer
        return answer

    def events(self, seconds: float) -> Iterator[Event]:
        """Give what comes in, and acknowledge it, until the connection or the time ends."""
        end = time.monotonic() + seconds
        while self._come:
            yield self._come.popleft()
        while not self.ended and (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(65536)
            except TimeoutError:
                return
            except ConnectionError:
                received = b""
            self.ended = not received
            self._take(received)
            self._acknowledge()
            while self._come:
                yield self._come.popleft()

    def _take(self, received: bytes) -> None:
        """Hear frame by frame: after a farewell h2 hears nothing more, and forgets what came with it."""
        self._unheard += received
        while len(self._unheard) >= (size := 9 + int.from_bytes(self._unheard[:3] or b"?" * 9)):
            frame, self._unheard = self._unheard[:size], self._unheard[size:]
            try:
                self._come += self.http.receive_data(frame)
            except ProtocolError:
                self.ended = True

    def _acknowledge(self) -> None:
        for event in self._come:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, ConnectionTerminated):
                self.goaway = int(event.error_code or 0)
        try:
            self.flush()
        except ConnectionError:
            self.ended = True


@contextmanager
def wired(target: str) -> Iterator[Wire]:
    wire = Wire(target)
    try:
        yield wire
    finally:
        wire.socket.close()
