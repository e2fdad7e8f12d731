"""The admin port under callers that hold connections, or send slowly, endlessly or nonsense."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from tests.fixtures.server import READY, RunningServer, serving
from tests.integration.test_server_start_and_shutdown import page

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(small_repository: Path) -> Iterator[RunningServer]:
    with serving(small_repository, admin_max_connections=20, admin_timeout_seconds=4) as running:
        yield running


def connect(server: RunningServer) -> socket.socket:
    host, _, port = server.admin.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def count_connections(server: RunningServer) -> int:
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found)


def seconds_until_closed(connection: socket.socket) -> float:
    started = time.monotonic()
    with suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass
    return time.monotonic() - started


def test_silent_connections_are_few_and_end_while_pages_are_served(server: RunningServer) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connect(server)) for _ in range(200)]
        for _ in range(5):
            assert page(f"{server.admin}/readyz") == (200, READY)
            assert count_connections(server) <= 20
        assert seconds_until_closed(held[-1]) < 6
        assert count_connections(server) == 0


@pytest.mark.parametrize(
    ("first", "more"), [(b"", b""), (b"GET /", b"a"), (REQUEST, b"A: b\r\n")], ids=["nothing", "a path", "headers"]
)
def test_a_request_that_never_ends_is_closed_in_time(server: RunningServer, first: bytes, more: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(first)
        started = time.monotonic()
        connection.settimeout(0.2)
        with suppress(ConnectionError):
            while time.monotonic() - started < 10:
                with suppress(TimeoutError):
                    if not connection.recv(1000):
                        break
                connection.sendall(more)
        assert 2 < time.monotonic() - started < 6


@pytest.mark.parametrize(
    "piece", [b"A: b\r\n", b"a" * 100, b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nabcde\r\n" * 9]
)
def test_an_endless_request_is_refused_by_size(server: RunningServer, piece: bytes) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    with connect(server) as connection:
        started = time.monotonic()
        with suppress(ConnectionError):
            connection.sendall(REQUEST)
            for _ in range(1_000_000):
                connection.sendall(piece)
        assert time.monotonic() - started < 3
    assert psutil.Process(server.process.pid).memory_info().rss < before + (8 << 20)
    assert page(f"{server.admin}/livez") == (200, "[+]ping ok\nlivez check passed\n")


def test_a_caller_that_reads_nothing_is_disconnected(server: RunningServer) -> None:
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.sendall((REQUEST + b"\r\n") * 100)
        time.sleep(6)
        assert count_connections(server) == 0


@pytest.mark.parametrize(
    "line", [b"\0" * 50, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
def test_another_protocol_is_refused(server: RunningServer, line: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(line)
        assert connection.recv(100).startswith((b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.0 404", b"HTTP/1.1 404"))
        assert seconds_until_closed(connection) < 5


def test_a_connection_carries_one_request(server: RunningServer) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        started = time.monotonic()
        text = b""
        while received := connection.recv(1000):
            text += received
        assert time.monotonic() - started < 1
    assert text.endswith(b"livez check passed\n")
    assert b"Connection: close" in text
