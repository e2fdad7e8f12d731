"""What every conformance test may ask for."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.conformance.calls import alone
from tests.fixtures_server import RunningServer, serving


@pytest.fixture(scope="module")
def channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with alone(running_server.target) as opened:
        yield opened


@pytest.fixture(scope="session")
def strict_server(small_repository: Path) -> Iterator[RunningServer]:
    """One with limits that a test can reach."""
    with serving(
        small_repository,
        max_message_mb=1,
        max_streams=4,
        keepalive_seconds=1,
        keepalive_timeout_seconds=1,
        ping_seconds=3600,
        compression="gzip",
        compression_kb=8,
    ) as server:
        yield server
