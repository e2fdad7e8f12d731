"""Attacks on connections: wrong protocols, slow clients and connections in number; and requests of wrong content."""

import contextlib
import socket
import ssl
import time
from typing import Final

from ondeck.v1.model_service_pb2 import ListAliasChangesRequest
from tests.attack.attack import Attack, Round, Run, handled, refused
from tests.attack.frames import (
    END_HEADERS,
    PREFACE,
    SOURCE,
    TIMEOUT,
    Answer,
    FrameType,
    call,
    data,
    frame,
    header_block,
    headers,
    settings,
)
from tests.conformance.http2_client import frame_message
from tests.conformance.stock_client import BALL, PREDICT

LIST_CHANGES: Final = "/ondeck.v1.ModelService/ListAliasChanges"
_BALL: Final = BALL.SerializeToString()
_READ_SECONDS: Final = 3.0
_CONNECTIONS: Final = 300
_STREAMS: Final = 100
_DRIP_SECONDS: Final = 0.2
_HANDSHAKES: Final = 50  # of a round
_PAUSE: Final = 0.02


def first_bytes(content: bytes) -> Run:
    """Return a run that sends bytes instead of the preface."""

    def run(round_: Round) -> Answer:
        return round_.connect(preface=content).read(_READ_SECONDS)

    return run


def with_alpn(protocols: list[str], content: bytes) -> Run:
    """Return a run that negotiates protocols by ALPN and then sends bytes."""

    def run(round_: Round) -> Answer:
        return round_.connect(preface=content, tls=_unverified(protocols)).read(_READ_SECONDS)

    return run


def _unverified(protocols: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def handshakes(round_: Round) -> Answer:
    """Complete handshakes without a session to resume, and close."""
    answer = Answer()
    for _ in range(_HANDSHAKES):
        if not round_.left:
            break
        round_.connect(preface=b"", tls=_unverified(["h2"])).close()
        time.sleep(_PAUSE)
    return answer


def broken_handshakes(round_: Round) -> Answer:
    """Begin handshakes and send garbage, or nothing."""
    host, _, port = round_.target.rpartition(":")
    opened = []
    for number in range(_HANDSHAKES):
        if not round_.left:
            break
        raw = socket.create_connection((host, int(port)), TIMEOUT, (SOURCE, 0))
        opened.append(raw)
        with contextlib.suppress(OSError):
            raw.sendall(b"\x16\x03\x01\x02\0\x01\0\x01" + bytes(number))
        time.sleep(_PAUSE)
    for each in opened:
        each.close()
    return Answer()


def connections(content: bytes) -> Run:
    """Return a run of many connections that send bytes and then nothing."""

    def run(round_: Round) -> Answer:
        opened = []
        for _ in range(_CONNECTIONS):
            if not round_.left:
                break
            opened.append(round_.connect(preface=content, is_acknowledging=False))
        round_.wait()
        answer = Answer()
        for each in opened:
            seen = each.read(0.001)
            for what, number in seen.seen.items():
                answer.seen[what] = answer.seen.get(what, 0) + number
            answer.is_closed |= seen.is_closed
        return answer

    return run


def drip(opening: bytes, content: bytes) -> Run:
    """Return a run that sends one byte at a time."""

    def run(round_: Round) -> Answer:
        connection = round_.connect(preface=PREFACE + settings() + opening, is_acknowledging=False)
        for byte in content:
            if not round_.left or connection.answer.is_over or not connection.send(bytes([byte])):
                break
            connection.read(_DRIP_SECONDS)
        return connection.read(0.5)

    return run


def slow_bodies(round_: Round) -> Answer:
    """Open calls, and send one byte of each request from time to time."""
    connection = round_.connect()
    streams = range(1, 2 * _STREAMS, 2)
    connection.send(b"".join(headers(stream, PREDICT) for stream in streams))
    for byte in frame_message(bytes(1000)):
        if not round_.left or connection.answer.seen:
            break
        connection.send(b"".join(data(stream, bytes([byte])) for stream in streams))
        connection.read(_DRIP_SECONDS)
    return connection.read(_READ_SECONDS, until=_STREAMS)


def wrong_calls(content: bytes) -> Run:
    """Return a run that sends bytes on stream 1 and reads what comes."""

    def run(round_: Round) -> Answer:
        connection = round_.connect()
        connection.send(content)
        return connection.read(1.0)

    return run


def _timeouts() -> bytes:
    values = ("soon", "-1S", "1", "123456789S", "1.5S", "", "9" * 5000 + "S")
    return b"".join(call(1 + 2 * at, PREDICT, _BALL, [("grpc-timeout", each)]) for at, each in enumerate(values))


CONNECTION_ATTACKS: Final = (
    Attack(
        name="HTTP/1.1",
        kind="protocol",
        run=first_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        answers=("HTTP/1.1 505",),
        counters=refused("http1"),
        grpcio="closes without an answer",
    ),
    Attack(
        name="random bytes",
        kind="protocol",
        run=first_bytes(b"\x16\x03\x01\x02\0\x01\0\x01" + bytes(range(256)) * 64),
        answers=("GOAWAY PROTOCOL_ERROR",),
        counters=refused("not_http2"),
    ),
    Attack(
        name="no ALPN, HTTP/1.1",
        kind="TLS",
        run=with_alpn([], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        answers=("HTTP/1.1 505",),
        counters=refused("no_alpn"),
        needs_tls=True,
    ),
    Attack(
        name="ALPN of HTTP/1.1",
        kind="TLS",
        run=with_alpn(["http/1.1"], PREFACE + settings()),
        answers=("GOAWAY INADEQUATE_SECURITY",),
        counters=refused("no_alpn"),
        needs_tls=True,
    ),
    Attack(name="TLS handshakes", kind="TLS", run=handshakes, answers=(), needs_tls=True),
    Attack(name="broken TLS handshakes", kind="TLS", run=broken_handshakes, answers=(), needs_tls=True),
    Attack(
        name="half-open connections",
        kind="slowloris",
        least_seconds=3.0,
        run=connections(b""),
        answers=(),
        counters=refused("slow_request"),
    ),
    Attack(
        name="incomplete preface",
        kind="slowloris",
        least_seconds=3.0,
        run=connections(PREFACE[:10]),
        answers=(),
        counters=refused("slow_request"),
    ),
    Attack(
        name="idle connections",
        kind="slowloris",
        least_seconds=4.0,
        run=connections(PREFACE + settings()),
        answers=(),
        counters=refused("no_ping_acknowledgement"),
    ),
    Attack(
        name="slow headers",
        kind="slowloris",
        least_seconds=3.0,
        run=drip(b"", frame(FrameType.HEADERS, END_HEADERS, 1, header_block(PREDICT))),
        answers=(),
        counters=refused("slow_request"),
        grpcio="has no time limit for a request; a deadline or the age of the connection ends it",
    ),
    Attack(
        name="slow bodies",
        kind="slowloris",
        least_seconds=3.0,
        run=slow_bodies,
        answers=("DEADLINE_EXCEEDED", "RST_STREAM NO_ERROR"),
        counters=refused("slow_request"),
        grpcio="has no time limit for a request; a deadline or the age of the connection ends it",
    ),
    Attack(
        name="malformed grpc-timeout",
        kind="request",
        run=wrong_calls(_timeouts()),
        answers=("INTERNAL",),
        counters=refused("malformed_timeout"),
    ),
    Attack(
        name="page token of 5,000 digits",
        kind="request",
        run=wrong_calls(call(1, LIST_CHANGES, ListAliasChangesRequest(page_token="9" * 5000).SerializeToString())),
        answers=("INVALID_ARGUMENT",),
        counters=handled("INVALID_ARGUMENT"),
    ),
    Attack(
        name="DATA after END_STREAM",
        kind="protocol",
        run=wrong_calls(call(1, PREDICT, _BALL) + data(1, b"more")),
        answers=("OK", "GOAWAY STREAM_CLOSED", "RST_STREAM STREAM_CLOSED"),
        counters=refused("protocol_error"),
    ),
    Attack(
        name="HEADERS of an even stream",
        kind="protocol",
        run=wrong_calls(headers(2, PREDICT)),
        answers=("GOAWAY PROTOCOL_ERROR",),
        counters=refused("protocol_error"),
    ),
)
