"""Whatever is thrown at the port, the server goes on serving."""

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from tests.conformance.http2_client import GRPC, connected, framed, wired
from tests.conformance.resources import counted, memory
from tests.conformance.stock_client import BALL, OWN_CONNECTION, PREDICT, SECONDS, STREAM_PREDICT, asked, serves, within
from tests.fixtures.server import RunningServer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
GROWTH_MB = 150
FLOOD = 2000  # calls reset as soon as they are made
PATIENCE = 0.3  # seconds in which the server may answer to garbage


def frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def noise(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)  # noqa: S311  noise, no secret


THROWN: dict[str, list[bytes]] = {
    "nothing": [b""],
    "random bytes": [noise(1, 5), noise(2, 500), noise(3, 50_000)],
    "HTTP/1": [b"GET / HTTP/1.1\r\nHost: ondeck\r\n\r\n", b"POST /x HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n"],
    "TLS": [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + noise(4, 500)],
    "half a preface": [PREFACE[:10], PREFACE, PREFACE[:-1] + b"?"],
    "random bytes after the preface": [PREFACE + SETTINGS + noise(seed, 2000) for seed in range(5, 10)],
    "frames that are none": [
        PREFACE + SETTINGS + frame(kind, 0xFF, stream, noise(kind, 40)) for kind in range(12) for stream in (0, 1, 2)
    ],
    "frames that are cut off": [PREFACE + SETTINGS + frame(kind, 4, 1, b"?" * 20, 16_000) for kind in range(10)],
    "frames longer than there may be": [PREFACE + SETTINGS + frame(0, 0, 1, b"?", (1 << 24) - 1)],
    "headers without end": [PREFACE + SETTINGS + frame(1, 0, 1, b"") + frame(9, 0, 1, noise(11, 4000)) * 50],
    "settings that cannot be": [PREFACE + frame(4, 0, 0, struct.pack(">HI", key, 0xFFFFFFFF)) for key in range(1, 8)],
    "many settings and pings": [PREFACE + SETTINGS * 5000, PREFACE + SETTINGS + frame(6, 0, 0, b"12345678") * 5000],
    "windows that overflow": [PREFACE + SETTINGS + frame(8, 0, 0, b"\x7f\xff\xff\xff") * 3],
}


@pytest.fixture
def unharmed(running_server: RunningServer) -> Iterator[RunningServer]:
    """Give the server, and see afterwards that it serves as before."""
    before = memory(running_server)
    yield running_server
    assert serves(running_server.target)
    assert memory(running_server) - before < GROWTH_MB


def throw(target: str, thrown: bytes, *, rest: bool) -> None:
    """Send bytes, hear what comes, and hang up: politely, or in the middle."""
    with connected(target) as raw, contextlib.suppress(OSError):
        raw.sendall(thrown)
        if rest:
            raw.shutdown(socket.SHUT_WR)
        raw.settimeout(PATIENCE)
        while raw.recv(65536):
            pass


@pytest.mark.parametrize("kind", THROWN)
def test_bytes_that_are_not_a_call_do_no_harm(unharmed: RunningServer, kind: str) -> None:
    for number, thrown in enumerate(THROWN[kind]):
        throw(unharmed.target, thrown, rest=number % 2 == 0)


GOOD = framed(BALL.SerializeToString())
BODIES: dict[str, bytes] = {
    "no message": b"",
    "part of a prefix": GOOD[:3],
    "a prefix alone": GOOD[:5],
    "part of a message": GOOD[:-1],
    "a huge declared length": b"\0\xff\xff\xff\xff" + bytes(1000),
    "a flag that is none": b"\x07" + GOOD[1:],
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", [PREDICT, STREAM_PREDICT])
def test_a_truncated_message_does_no_harm(unharmed: RunningServer, path: str, body: str) -> None:
    with wired(unharmed.target) as wire:
        stream = wire.open(path)
        wire.say(stream, BODIES[body])
    with wired(unharmed.target) as wire:
        stream = wire.open(path)
        wire.say(stream, BODIES[body], end=True)
        list(wire.events(PATIENCE))
        assert wire.ask(GOOD).status == 0


@pytest.mark.parametrize("body", ["no message", "part of a message", "a huge declared length"])
def test_a_call_that_ends_before_its_message_gets_an_error(running_server: RunningServer, body: str) -> None:
    with wired(running_server.target) as wire:
        stream = wire.open(PREDICT)
        wire.say(stream, BODIES[body], end=True)
        answer = wire.answer(stream, 5)
        assert answer.status not in {None, 0} or answer.reset is not None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "CONNECT", "BREW"])
def test_a_method_that_is_not_post_is_refused(unharmed: RunningServer, method: str) -> None:
    with wired(unharmed.target) as wire:
        stream = wire.open(method=method)
        wire.say(stream, GOOD, end=True)
        answer = wire.answer(stream, 5)
        assert answer.status != 0
        assert wire.ask(GOOD).status == 0


@pytest.mark.parametrize(
    "header",
    [
        ("grpc-timeout", "-1S"),
        ("grpc-timeout", "99999999999999999999H"),
        ("grpc-encoding", "\x7f"),
        ("content-type", "text/html"),
        ("te", "nothing"),
        ("x-bad-bin", "!!not base64!!"),
        ("grpc-status", "0"),
    ],
)
def test_an_invalid_header_does_no_harm(unharmed: RunningServer, header: tuple[str, str]) -> None:
    with wired(unharmed.target) as wire:
        stream = wire.open(PREDICT, header)
        wire.say(stream, GOOD, end=True)
        list(wire.events(PATIENCE))
    with wired(unharmed.target) as wire:
        assert wire.ask(GOOD).status == 0


def test_empty_frames_do_no_harm(unharmed: RunningServer) -> None:
    with wired(unharmed.target) as wire:
        stream = wire.open()
        for _ in range(1000):
            wire.http.send_data(stream, b"")
        wire.flush()
        for byte in GOOD:
            wire.http.send_data(stream, bytes([byte]))
        wire.http.end_stream(stream)
        wire.flush()
        assert wire.answer(stream).status == 0


def test_calls_reset_at_once_do_no_harm(unharmed: RunningServer) -> None:
    begun = time.monotonic()
    with contextlib.suppress(ConnectionError, grpc.RpcError):
        for _ in range(4):  # a server may hang up on such a caller
            with wired(unharmed.target) as wire:
                for _ in range(FLOOD // 4):
                    stream = wire.open(STREAM_PREDICT)
                    wire.http.send_data(stream, framed(asked(1).SerializeToString()))
                    wire.http.reset_stream(stream, 8)
                wire.flush()
                list(wire.events(PATIENCE))
    assert serves(unharmed.target)
    assert time.monotonic() - begun < 3 * SECONDS


def test_a_call_refused_and_reset_at_once_keeps_its_connection(unharmed: RunningServer) -> None:
    with wired(unharmed.target) as wire:
        for path in ("/nobody/Nothing", PREDICT):
            stream = wire.http.get_next_available_stream_id()
            wire.http.send_headers(stream, ((":method", "POST"), (":scheme", "http"), (":path", path), *GRPC))
            wire.http.send_data(stream, b"\x07" + GOOD[1:])
            wire.http.reset_stream(stream, 8)
        wire.flush()
        assert wire.ask(GOOD).status == 0


def test_a_protocol_violation_closes_the_connection_and_ends_its_calls(unharmed: RunningServer) -> None:
    before = counted(unharmed, STREAM_PREDICT)
    with wired(unharmed.target) as wire:
        wire.say(wire.open(STREAM_PREDICT), framed(asked(1).SerializeToString()))
        wire.open("/nobody/Listens")
        next(wire.events(SECONDS))
        wire.socket.sendall(frame(4, 0, 0, struct.pack(">HI", 4, 0xFFFFFFFF)))
        begin = time.monotonic()
        list(wire.events(SECONDS))
        assert wire.ended
        assert time.monotonic() - begin < SECONDS / 2
        assert within(SECONDS, lambda: counted(unharmed, STREAM_PREDICT) == before + 1)


RPCS = [
    method
    for file in (prediction_service_pb2, model_service_pb2, player_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
HONEST = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNAVAILABLE"}
Ask = Callable[[bytes], str]


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@pytest.fixture(scope="module")
def open_channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running_server.target, [OWN_CONNECTION]) as channel:
        yield channel


def asker(channel: grpc.Channel, method: MethodDescriptor) -> Ask:
    """Make what sends bytes as a request of an rpc, and tells how the call ended."""

    def ask(body: bytes) -> str:
        try:
            if method.client_streaming:
                streaming: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path_of(method))
                list(streaming(iter([body]), timeout=SECONDS))
            else:
                unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path_of(method))
                unary(body, timeout=SECONDS)
        except grpc.RpcError as failed:
            return str(failed.code().name)
        return "OK"

    return ask


def mutated(seed: bytes) -> st.SearchStrategy[bytes]:
    """Make requests that are nearly good."""
    spot = st.integers(0, max(len(seed) - 1, 0))
    return st.builds(lambda at, put, cut: seed[:at] + put + seed[at + cut :], spot, st.binary(max_size=4), spot)


@pytest.mark.parametrize("method", RPCS, ids=lambda method: method.name)
def test_no_input_bytes_cause_a_server_error(open_channel: grpc.Channel, method: MethodDescriptor) -> None:
    ask = asker(open_channel, method)
    bodies = st.one_of(
        st.binary(max_size=200), mutated(BALL.SerializeToString()), mutated(asked(1).SerializeToString())
    )

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies)
    def tried(body: bytes) -> None:
        assert ask(body) in HONEST

    tried()
