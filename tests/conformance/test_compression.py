"""Message compression in both directions."""

import gzip
import struct
import zlib

import grpc
import pytest

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, BatchPredictResponse, PredictResponse
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import Response, frame_message, open_http2
from tests.conformance.server_measurements import rss_mib
from tests.conformance.stock_client import BALL, BATCH_PREDICT, PREDICT, SECONDS, SPEC
from tests.fixtures.server import RunningServer

EXHAUSTED, INTERNAL, UNIMPLEMENTED = 8, 13, 12
ACCEPTS_GZIP = ("grpc-accept-encoding", "identity,deflate,gzip")
COLUMNS = BattedBallColumns(launch_speed=[100.0] * 1000, launch_angle=[20.0] * 1000)
BATCH = BatchPredictRequest(model=SPEC, batted_balls=COLUMNS).SerializeToString()


def split_message(answer: Response) -> tuple[bool, bytes]:
    """Return the compressed flag and the payload of a framed message."""
    compressed, length = struct.unpack(">?I", answer.data[:5])
    assert length == len(answer.data) - 5
    return compressed, answer.data[5:]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_understood(channel: grpc.Channel, compression: grpc.Compression) -> None:
    predictions = PredictionServiceStub(channel)
    plain = predictions.BatchPredict(BatchPredictRequest.FromString(BATCH), timeout=SECONDS)
    compressed = predictions.BatchPredict(
        BatchPredictRequest.FromString(BATCH), timeout=SECONDS, compression=compression
    )
    assert list(compressed.probabilities) == list(plain.probabilities)


def test_a_server_without_compression_accepts_compressed_requests(running_server: RunningServer) -> None:
    with open_http2(running_server.target) as http2:
        request = frame_message(gzip.compress(BALL.SerializeToString()), compressed=True)
        answer = http2.call(request, PREDICT, ("grpc-encoding", "gzip"), ACCEPTS_GZIP)
    compressed, message = split_message(answer)
    assert (answer.status, compressed) == (0, False)
    assert PredictResponse.FromString(message).prediction.outcomes
    assert answer.headers.get("grpc-encoding", "identity") == "identity"
    assert "gzip" in answer.headers["grpc-accept-encoding"]


def test_an_unknown_encoding_fails_its_call_and_keeps_the_connection(running_server: RunningServer) -> None:
    with open_http2(running_server.target) as http2:
        answer = http2.call(frame_message(b"?", compressed=True), PREDICT, ("grpc-encoding", "snappy"))
        # The specification requires UNIMPLEMENTED; grpcio 1.81 sends INTERNAL.
        assert answer.status in {UNIMPLEMENTED, INTERNAL}
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def test_a_message_with_a_wrong_compression_flag_fails_only_its_call(
    running_server: RunningServer,
) -> None:
    with open_http2(running_server.target) as http2:
        request = frame_message(b"not compressed", compressed=True)
        assert http2.call(request, PREDICT, ("grpc-encoding", "gzip")).status == INTERNAL
        assert http2.call(request).status not in {0, None}
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0


def compress_zeros(mebibytes: int) -> bytes:
    """Return a gzip stream of so many mebibytes of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join([*(packer.compress(zeros) for _ in range(mebibytes)), packer.flush()])


def test_a_message_too_large_once_decompressed_is_refused(strict_server: RunningServer) -> None:
    before = rss_mib(strict_server)
    request = frame_message(compress_zeros(20), compressed=True)
    with open_http2(strict_server.target) as http2:
        for _ in range(10):
            assert http2.call(request, PREDICT, ("grpc-encoding", "gzip")).status == EXHAUSTED
        assert http2.call(frame_message(BALL.SerializeToString())).status == 0
    assert rss_mib(strict_server) - before < 100


def test_large_responses_are_compressed_if_accepted_and_small_ones_never(
    strict_server: RunningServer,
) -> None:
    with open_http2(strict_server.target) as http2:
        large = http2.call(frame_message(BATCH), BATCH_PREDICT, ACCEPTS_GZIP)
        identity = http2.call(frame_message(BATCH), BATCH_PREDICT)
        small = http2.call(frame_message(BALL.SerializeToString()), PREDICT, ACCEPTS_GZIP)
    assert [split_message(each)[0] for each in (large, identity, small)] == [True, False, False]
    message = gzip.decompress(split_message(large)[1])
    assert BatchPredictResponse.FromString(message) == BatchPredictResponse.FromString(split_message(identity)[1])
