"""Free ports of the loopback, for programs that are told where to listen."""

import socket

import pytest


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def free_port() -> int:
    return a_free_port()
