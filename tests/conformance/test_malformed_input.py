"""The server keeps serving after malformed input."""

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
from tests.conformance.http2_client import GRPC, connect, frame_message, open_http2
from tests.conformance.server_measurements import count_handled, rss_mib
from tests.conformance.stock_client import (
    BALL,
    OWN_CONNECTION,
    PREDICT,
    SECONDS,
    STREAM_PREDICT,
    is_serving,
    stream_request,
    wait_until,
)
from tests.fixtures.server import RunningServer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
GROWTH_MB = 150
FLOOD = 2000  # calls, each reset at once
READ_SECONDS = 0.3  # in which the server may answer malformed input


def frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def random_bytes(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)  # noqa: S311  test data, no secret


RAW_INPUTS: dict[str, list[bytes]] = {
    "nothing": [b""],
    "random bytes": [random_bytes(1, 5), random_bytes(2, 500), random_bytes(3, 50_000)],
    "HTTP/1": [b"GET / HTTP/1.1\r\nHost: ondeck\r\n\r\n", b"POST /x HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n"],
    "TLS": [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + random_bytes(4, 500)],
    "half a preface": [PREFACE[:10], PREFACE, PREFACE[:-1] + b"?"],
    "random bytes after the preface": [PREFACE + SETTINGS + random_bytes(seed, 2000) for seed in range(5, 10)],
    "invalid frames": [
        PREFACE + SETTINGS + frame(kind, 0xFF, stream, random_bytes(kind, 40))
        for kind in range(12)
        for stream in (0, 1, 2)
    ],
    "truncated frames": [PREFACE + SETTINGS + frame(kind, 4, 1, b"?" * 20, 16_000) for kind in range(10)],
    "frames above the maximum size": [PREFACE + SETTINGS + frame(0, 0, 1, b"?", (1 << 24) - 1)],
    "headers without end": [PREFACE + SETTINGS + frame(1, 0, 1, b"") + frame(9, 0, 1, random_bytes(11, 4000)) * 50],
    "invalid settings": [PREFACE + frame(4, 0, 0, struct.pack(">HI", key, 0xFFFFFFFF)) for key in range(1, 8)],
    "many settings and pings": [PREFACE + SETTINGS * 5000, PREFACE + SETTINGS + frame(6, 0, 0, b"12345678") * 5000],
    "windows that overflow": [PREFACE + SETTINGS + frame(8, 0, 0, b"\x7f\xff\xff\xff") * 3],
}


@pytest.fixture
def healthy_server(running_server: RunningServer) -> Iterator[RunningServer]:
    """Yield the server, then check that it serves and has not grown."""
    before = rss_mib(running_server)
    yield running_server
    assert is_serving(running_server.target)
    assert rss_mib(running_server) - before < GROWTH_MB


def send_raw(target: str, content: bytes, *, half_close: bool) -> None:
    """Send bytes, read the response and disconnect, with or without half-closing first."""
    with connect(target) as raw, contextlib.suppress(OSError):
        raw.sendall(content)
        if half_close:
            raw.shutdown(socket.SHUT_WR)
        raw.settimeout(READ_SECONDS)
        while raw.recv(65536):
            pass


@pytest.mark.parametrize("kind", RAW_INPUTS)
def test_bytes_that_are_not_a_call_do_no_harm(healthy_server: RunningServer, kind: str) -> None:
    for number, content in enumerate(RAW_INPUTS[kind]):
        send_raw(healthy_server.target, content, half_close=number % 2 == 0)


GOOD = frame_message(BALL.SerializeToString())
BODIES: dict[str, bytes] = {
    "no message": b"",
    "part of a prefix": GOOD[:3],
    "a prefix only": GOOD[:5],
    "part of a message": GOOD[:-1],
    "a huge declared length": b"\0\xff\xff\xff\xff" + bytes(1000),
    "an invalid flag": b"\x07" + GOOD[1:],
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", [PREDICT, STREAM_PREDICT])
def test_a_truncated_message_does_no_harm(healthy_server: RunningServer, path: str, body: str) -> None:
    with open_http2(healthy_server.target) as http2:
        stream = http2.start_call(path)
        http2.send(stream, BODIES[body])
    with open_http2(healthy_server.target) as http2:
        stream = http2.start_call(path)
        http2.send(stream, BODIES[body], end=True)
        list(http2.events(READ_SECONDS))
        assert http2.call(GOOD).status == 0


@pytest.mark.parametrize("body", ["no message", "part of a message", "a huge declared length"])
def test_a_call_that_ends_before_its_message_gets_an_error(running_server: RunningServer, body: str) -> None:
    with open_http2(running_server.target) as http2:
        stream = http2.start_call(PREDICT)
        http2.send(stream, BODIES[body], end=True)
        answer = http2.read_response(stream, 5)
        assert answer.status not in {None, 0} or answer.reset is not None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "CONNECT", "BREW"])
def test_a_method_that_is_not_post_is_refused(healthy_server: RunningServer, method: str) -> None:
    with open_http2(healthy_server.target) as http2:
        stream = http2.start_call(method=method)
        http2.send(stream, GOOD, end=True)
        answer = http2.read_response(stream, 5)
        assert answer.status != 0
        assert http2.call(GOOD).status == 0


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
def test_an_invalid_header_does_no_harm(healthy_server: RunningServer, header: tuple[str, str]) -> None:
    with open_http2(healthy_server.target) as http2:
        stream = http2.start_call(PREDICT, header)
        http2.send(stream, GOOD, end=True)
        list(http2.events(READ_SECONDS))
    with open_http2(healthy_server.target) as http2:
        assert http2.call(GOOD).status == 0


def test_empty_frames_do_no_harm(healthy_server: RunningServer) -> None:
    with open_http2(healthy_server.target) as http2:
        stream = http2.start_call()
        for _ in range(1000):
            http2.http.send_data(stream, b"")
        http2.flush()
        for byte in GOOD:
            http2.http.send_data(stream, bytes([byte]))
        http2.http.end_stream(stream)
        http2.flush()
        assert http2.read_response(stream).status == 0


def test_calls_reset_at_once_do_no_harm(healthy_server: RunningServer) -> None:
    started = time.monotonic()
    with contextlib.suppress(ConnectionError, grpc.RpcError):
        for _ in range(4):  # a server may close such a connection
            with open_http2(healthy_server.target) as http2:
                for _ in range(FLOOD // 4):
                    stream = http2.start_call(STREAM_PREDICT)
                    http2.http.send_data(stream, frame_message(stream_request(1).SerializeToString()))
                    http2.http.reset_stream(stream, 8)
                http2.flush()
                list(http2.events(READ_SECONDS))
    assert is_serving(healthy_server.target)
    assert time.monotonic() - started < 3 * SECONDS


def test_a_call_refused_and_reset_at_once_keeps_its_connection(healthy_server: RunningServer) -> None:
    with open_http2(healthy_server.target) as http2:
        for path in ("/unknown/Method", PREDICT):
            stream = http2.http.get_next_available_stream_id()
            http2.http.send_headers(stream, ((":method", "POST"), (":scheme", "http"), (":path", path), *GRPC))
            http2.http.send_data(stream, b"\x07" + GOOD[1:])
            http2.http.reset_stream(stream, 8)
        http2.flush()
        assert http2.call(GOOD).status == 0


def test_a_protocol_violation_closes_the_connection_and_ends_its_calls(healthy_server: RunningServer) -> None:
    before = count_handled(healthy_server, STREAM_PREDICT)
    with open_http2(healthy_server.target) as http2:
        http2.send(http2.start_call(STREAM_PREDICT), frame_message(stream_request(1).SerializeToString()))
        http2.start_call("/unknown/Method")
        next(http2.events(SECONDS))
        http2.socket.sendall(frame(4, 0, 0, struct.pack(">HI", 4, 0xFFFFFFFF)))
        started = time.monotonic()
        list(http2.events(SECONDS))
        assert http2.closed
        assert time.monotonic() - started < SECONDS / 2
        assert wait_until(SECONDS, lambda: count_handled(healthy_server, STREAM_PREDICT) == before + 1)


RPCS = [
    method
    for file in (prediction_service_pb2, model_service_pb2, player_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
EXPECTED_CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNAVAILABLE"}
Ask = Callable[[bytes], str]


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@pytest.fixture(scope="module")
def open_channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running_server.target, [OWN_CONNECTION]) as channel:
        yield channel


def make_sender(channel: grpc.Channel, method: MethodDescriptor) -> Ask:
    """Return a function that sends bytes as a request of an rpc and returns the status code."""

    def send(body: bytes) -> str:
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

    return send


def mutated_requests(seed: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of nearly valid requests."""
    spot = st.integers(0, max(len(seed) - 1, 0))
    return st.builds(lambda at, put, cut: seed[:at] + put + seed[at + cut :], spot, st.binary(max_size=4), spot)


@pytest.mark.parametrize("method", RPCS, ids=lambda method: method.name)
def test_no_input_bytes_cause_a_server_error(open_channel: grpc.Channel, method: MethodDescriptor) -> None:
    send = make_sender(open_channel, method)
    bodies = st.one_of(
        st.binary(max_size=200),
        mutated_requests(BALL.SerializeToString()),
        mutated_requests(stream_request(1).SerializeToString()),
    )

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies)
    def sends_body(body: bytes) -> None:
        assert send(body) in EXPECTED_CODES

    sends_body()
