"""Fixtures for every conformance test."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.conformance.stock_client import open_channel
from tests.fixtures.server import RunningServer, serving

TRANSPORTS = ("grpcio", "nghttp2")


@pytest.fixture(scope="session", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Return the transport under test; the same tests hold for each."""
    return str(request.param)


@pytest.fixture(scope="session")
def running_server(small_repository: Path, transport: str) -> Iterator[RunningServer]:
    with serving(small_repository, transport=transport) as server:
        yield server


@pytest.fixture(scope="session")
def channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with open_channel(running_server.target) as opened:
        yield opened


@pytest.fixture(scope="session")
def strict_server(small_repository: Path, transport: str) -> Iterator[RunningServer]:
    """Run a server with limits that a test can reach."""
    with serving(
        small_repository,
        transport=transport,
        max_message_mib=1,
        max_concurrent_streams=4,
        keepalive_seconds=1,
        keepalive_timeout_seconds=1,
        min_ping_interval_seconds=3600,
        compression="gzip",
        compression_threshold_kib=8,
    ) as server:
        yield server
