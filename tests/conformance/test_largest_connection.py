"""A byte budget that is exhausted ends the connection that holds most; the others go on.

grpcio buffers in its own core, which has no such limits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.http2_client import Http2Client, frame_message, open_http2
from tests.conformance.server_measurements import count_exceeded
from tests.conformance.stock_client import BALL, BATCH_PREDICT, wait_until
from tests.fixtures.server import RunningServer, serving

PART = frame_message(bytes(250_000))[:-1000]  # of an unfinished message
BUDGET_MIB = 8
ENHANCE_YOUR_CALM = 11
BUDGETS = {"worker_bytes": "max_buffered_mib", "address_bytes": "max_buffered_mib_per_address"}


@pytest.fixture(scope="module", params=BUDGETS)
def exhausted(request: pytest.FixtureRequest) -> str:
    """Return the reason of the refusals of the budget under test."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(small_repository: Path, exhausted: str) -> Iterator[RunningServer]:
    budget: dict[str, Any] = {BUDGETS[exhausted]: BUDGET_MIB}
    with serving(small_repository, transport="nghttp2", max_message_mib=1, **budget) as running:
        yield running


@contextmanager
def connected(server: RunningServer) -> Iterator[Http2Client]:
    with open_http2(server.target) as client:
        list(client.events(0.5))  # of the settings
        yield client


def hold(client: Http2Client, parts: int) -> None:
    """Send so many parts of unfinished messages."""
    for _ in range(parts):
        client.send(client.start_call(BATCH_PREDICT), PART)


def is_served(client: Http2Client) -> bool:
    return client.call(frame_message(BALL.SerializeToString())).status == 0


def test_the_connection_that_holds_most_gets_goaway_and_the_others_go_on(server: RunningServer, exhausted: str) -> None:
    before = count_exceeded(server, exhausted)
    with connected(server) as largest, connected(server) as smaller, connected(server) as idle:
        hold(largest, 20)
        assert is_served(largest)
        hold(smaller, 19)
        assert wait_until(10, lambda: not list(largest.events(0.1)) and largest.closed)
        assert (largest.goaway, largest.goaway_text) == (ENHANCE_YOUR_CALM, b"too_many_bytes")
        assert is_served(smaller)
        assert is_served(idle)
        assert (smaller.goaway, idle.goaway) == (None, None)
        assert count_exceeded(server, exhausted) == before + 1


def test_a_connection_that_holds_most_itself_is_refused_and_ends_no_other(
    server: RunningServer, exhausted: str
) -> None:
    before = count_exceeded(server, exhausted)
    with connected(server) as smaller, connected(server) as largest:
        hold(smaller, 10)
        hold(largest, 30)
        assert wait_until(10, lambda: count_exceeded(server, exhausted) > before)
        assert is_served(smaller)
        assert is_served(largest)
        assert (smaller.goaway, largest.goaway) == (None, None)
