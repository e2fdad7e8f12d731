"""Connections that are not HTTP/2 or exceed its limits get the right answer, one log line and no traceback."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from h2.settings import SettingCodes

from tests.conformance.http2_client import GRPC, connect, frame_message, open_http2
from tests.conformance.stock_client import BALL, PREDICT, SECONDS, STREAM_PREDICT, is_serving
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.tls import Authority

MEBIBYTE = 1 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
INTERNAL, RESOURCE_EXHAUSTED = 13, 8
PROTOCOL_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY = 1, 11, 12
GOAWAY = 7


@pytest.fixture(autouse=True, scope="module")
def _require_own_transport(transport: str) -> None:
    if transport == "grpcio":
        pytest.skip("grpcio decides itself how it ends such a connection")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def own_server(small_repository: Path, log: Path) -> Iterator[RunningServer]:
    with serving(small_repository, transport="nghttp2", log=log, max_message_mib=1) as server:
        yield server


@pytest.fixture(scope="module")
def tls_server(small_repository: Path, authority: Authority, log: Path) -> Iterator[RunningServer]:
    pair = authority.sign("127.0.0.1")
    with serving(
        small_repository,
        transport="nghttp2",
        log=log.with_name("tls.log"),
        tls_certificate=pair.certificate,
        tls_key=pair.key,
    ) as server:
        yield server


def read_all(raw: socket.socket) -> bytes:
    raw.settimeout(SECONDS)
    received = b""
    while True:
        part = raw.recv(65536)
        if not part:
            return received
        received += part


def goaway_codes(received: bytes) -> list[int]:
    """Return the error codes of the GOAWAY frames."""
    found = []
    while received:
        size = 9 + int.from_bytes(received[:3])
        frame, received = received[:size], received[size:]
        if frame[3] == GOAWAY:
            found.append(int.from_bytes(frame[13:17]))
    return found


def rejections(log: Path) -> int:
    """Return how many rejections the log contains; it contains no traceback."""
    text = log.read_text()
    assert "Traceback" not in text
    return text.count("connection_rejected")


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /a HTTP/1.0\r\nContent-Length: 9\r\n\r\n"]
)
def test_a_plaintext_http1_client_gets_505(own_server: RunningServer, log: Path, sent: bytes) -> None:
    before = rejections(log)
    with connect(own_server.target) as raw:
        raw.sendall(sent)
        assert read_all(raw).startswith(b"HTTP/1.1 505 ")
    assert rejections(log) == before + 1


def test_other_bytes_get_goaway(own_server: RunningServer, log: Path) -> None:
    before = rejections(log)
    with connect(own_server.target) as raw:
        raw.sendall(b"\x16\x03\x01\x02\0\x01\0\x01")
        assert goaway_codes(read_all(raw)) == [PROTOCOL_ERROR]
    assert rejections(log) == before + 1


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", PREFACE])
def test_a_tls_client_without_alpn_is_rejected(
    tls_server: RunningServer, authority: Authority, log: Path, protocols: list[str], sent: bytes
) -> None:
    before = rejections(log.with_name("tls.log"))
    context = ssl.create_default_context(cafile=str(authority.file))
    if protocols:
        context.set_alpn_protocols(protocols)
    with connect(tls_server.target) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
        secured.sendall(sent)
        received = secured.recv(65536)
        assert received.startswith(b"HTTP/1.1 505 ") or goaway_codes(received) == [INADEQUATE_SECURITY]
        assert received.startswith(b"HTTP/1.1") == sent.startswith(b"GET")
    assert rejections(log.with_name("tls.log")) == before + 1


def test_a_malformed_timeout_is_internal(own_server: RunningServer) -> None:
    with open_http2(own_server.target) as http2:
        for timeout in ("soon", "-1S", "1", "123456789S", "1.5S", ""):
            answer = http2.call(frame_message(BALL.SerializeToString()), PREDICT, ("grpc-timeout", timeout))
            assert (answer.status, "grpc-timeout" in answer.headers["grpc-message"]) == (INTERNAL, True)
        assert http2.call(frame_message(BALL.SerializeToString()), PREDICT, ("grpc-timeout", "20S")).status == 0


@pytest.mark.parametrize("path", [PREDICT, STREAM_PREDICT])
def test_a_message_announced_too_long_is_refused_before_its_bytes_arrive(own_server: RunningServer, path: str) -> None:
    with open_http2(own_server.target) as http2:
        stream = http2.start_call(path)
        http2.send(stream, b"\0" + (MEBIBYTE + 1).to_bytes(4))
        assert http2.read_response(stream, SECONDS / 2).status == RESOURCE_EXHAUSTED


def test_a_decoded_header_list_has_a_limit(own_server: RunningServer, log: Path) -> None:
    before = rejections(log)
    with open_http2(own_server.target) as http2:
        http2.start_call(PREDICT, *[("x-long", "y" * 2000)] * 64)
        list(http2.events(SECONDS))
        assert (http2.goaway, http2.closed) == (ENHANCE_YOUR_CALM, True)
    assert rejections(log) == before + 1


@pytest.mark.parametrize("fields", [15, 250])
def test_header_fields_repeated_by_reference_take_little_memory(own_server: RunningServer, fields: int) -> None:
    workers = psutil.Process(own_server.process.pid).children(recursive=True)
    before = sum(peak_memory(each.pid) for each in workers)
    with open_http2(own_server.target) as http2:
        list(http2.events(0.3))
        http2.http.remote_settings[SettingCodes.MAX_HEADER_LIST_SIZE] = 1 << 30
        http2.http.remote_settings.acknowledge()
        for _ in range(1500):
            stream = http2.http.get_next_available_stream_id()
            first = ((":method", "POST"), (":scheme", "http"), (":path", PREDICT), (":authority", "a"))
            http2.http.send_headers(stream, (*first, *GRPC, *[("x-long", "y" * 4000)] * fields))
            http2.http.reset_stream(stream, 8)
        with contextlib.suppress(ConnectionError):
            http2.flush()
        list(http2.events(5))
    assert is_serving(own_server.target)
    assert sum(peak_memory(each.pid) for each in workers) - before < 100 * MEBIBYTE


FLOODS = {
    "pings": b"\0\0\x08\6\0\0\0\0\0" + bytes(8),
    "settings": b"\0\0\0\4\0\0\0\0\0",
    "windows": b"\0\0\4\x08\0\0\0\0\0\0\0\0\1",
    "resets": b"\0\0\4\3\0\0\0\0\1\0\0\0\x08",
    "pings, settings and windows": b"\0\0\0\4\0\0\0\0\0" + b"\0\0\4\x08\0\0\0\0\0\0\0\0\1" * 3,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_control_frames_gets_one_goaway(own_server: RunningServer, log: Path, flood: str) -> None:
    before = rejections(log)
    with connect(own_server.target) as raw:
        raw.sendall(PREFACE)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                raw.sendall(FLOODS[flood] * 1000)
        assert len(goaway_codes(read_all(raw))) == 1
    assert is_serving(own_server.target)
    assert rejections(log) <= before + 1


def peak_memory(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
