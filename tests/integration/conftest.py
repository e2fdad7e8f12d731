"""Fixtures for the tests of a running server."""

from collections.abc import Iterator

import grpc
import pytest

from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.fixtures.server import RunningServer


@pytest.fixture(scope="module")
def channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running_server.target, [("grpc.max_send_message_length", -1)]) as opened:
        yield opened


@pytest.fixture(scope="module")
def predictions(channel: grpc.Channel) -> PredictionServiceStub:
    return PredictionServiceStub(channel)
