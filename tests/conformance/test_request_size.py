"""Requests that need far more memory than bytes: they are refused before they are parsed."""

from typing import Any

import grpc
import pytest

from inference.grpc_service_pb2 import ModelInferRequest
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest
from tests.conformance.server_measurements import rss_mib
from tests.conformance.stock_client import BATCH_PREDICT, PREDICT, SECONDS, can_predict, open_channel
from tests.fixtures.server import RunningServer

INFER = "/inference.GRPCInferenceService/ModelInfer"
RESOLVE = "/ondeck.v1.PlayerService/ResolvePlayers"
MEBIBYTE = 1 << 20
GROWTH_MIB = 120  # what a transport needs for a message of 16 MiB, several times over


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (INFER, b"\x2a\0"),  # inputs
        (INFER, b"\x3a\0"),  # raw contents
        (RESOLVE, b"\x0a\0"),  # queries
        (RESOLVE, b"\x0a\2\x12\0"),  # queries by name
        (BATCH_PREDICT, b"\x12\0\x1a\0"),  # each field of a oneof replaces the other
        (INFER, b"\xf8\x07\1"),  # an unknown field
    ],
)
def test_a_request_of_millions_of_fields_is_refused(running_server: RunningServer, path: str, part: bytes) -> None:
    request = part * (15 * MEBIBYTE // len(part))
    with open_channel(running_server.target) as channel:
        assert can_predict(channel)
        before = rss_mib(running_server)
        call: Any = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        with pytest.raises(grpc.RpcError) as refused:
            call(request, timeout=SECONDS, compression=grpc.Compression.Gzip)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "fields, the limit of " in (refused.value.details() or "")
        assert rss_mib(running_server) - before < GROWTH_MIB
        assert can_predict(channel)


def test_a_request_without_repeated_fields_is_small(running_server: RunningServer) -> None:
    with open_channel(running_server.target) as channel:
        call: Any = channel.unary_unary(PREDICT, request_serializer=PredictRequest.SerializeToString)
        with pytest.raises(grpc.RpcError) as refused:
            call(PredictRequest(model=ModelSpec(name="x" * 70_000)), timeout=SECONDS)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert can_predict(channel)


def test_a_request_of_many_bytes_and_few_fields_is_read(running_server: RunningServer) -> None:
    with open_channel(running_server.target) as channel:
        call: Any = channel.unary_unary(INFER, request_serializer=ModelInferRequest.SerializeToString)
        with pytest.raises(grpc.RpcError) as refused:
            call(ModelInferRequest(raw_input_contents=[bytes(15 * MEBIBYTE)]), timeout=SECONDS)
        assert "model_name" in (refused.value.details() or "")
