"""What every conformance test may ask for."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.conformance.stock_client import alone
from tests.fixtures.server import RunningServer, serving

TRANSPORTS = ("grpcio", "nghttp2")


@pytest.fixture(scope="session", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """What carries the calls: whatever it is, it is gRPC."""
    return str(request.param)


@pytest.fixture(scope="session")
def running_server(small_repository: Path, transport: str) -> Iterator[RunningServer]:
    with serving(small_repository, transport=transport) as server:
        yield server


@pytest.fixture(scope="session")
def channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with alone(running_server.target) as opened:
        yield opened


@pytest.fixture(scope="session")
def strict_server(small_repository: Path, transport: str) -> Iterator[RunningServer]:
    """One with limits that a test can reach."""
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
