"""What travels compressed, which way, and what does not."""

import gzip
import struct
import zlib

import grpc
import pytest

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, BatchPredictResponse, PredictResponse
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import Answer, framed, wired
from tests.conformance.resources import memory
from tests.conformance.stock_client import BALL, BATCH_PREDICT, PREDICT, SECONDS, SPEC
from tests.fixtures.server import RunningServer

EXHAUSTED, INTERNAL, UNIMPLEMENTED = 8, 13, 12
ACCEPTS_GZIP = ("grpc-accept-encoding", "identity,deflate,gzip")
COLUMNS = BattedBallColumns(launch_speed=[100.0] * 1000, launch_angle=[20.0] * 1000)
BATCH = BatchPredictRequest(model=SPEC, batted_balls=COLUMNS).SerializeToString()


def opened(answer: Answer) -> tuple[bool, bytes]:
    """Take a message out of the five bytes before it: was it compressed, and what is it?"""
    compressed, length = struct.unpack(">?I", answer.data[:5])
    assert length == len(answer.data) - 5
    return compressed, answer.data[5:]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_understood(channel: grpc.Channel, compression: grpc.Compression) -> None:
    predictions = PredictionServiceStub(channel)
    plain = predictions.BatchPredict(BatchPredictRequest.FromString(BATCH), timeout=SECONDS)
    asked = predictions.BatchPredict(BatchPredictRequest.FromString(BATCH), timeout=SECONDS, compression=compression)
    assert list(asked.probabilities) == list(plain.probabilities)


def test_a_server_without_compression_accepts_compressed_requests(running_server: RunningServer) -> None:
    with wired(running_server.target) as wire:
        asked = framed(gzip.compress(BALL.SerializeToString()), compressed=True)
        answer = wire.ask(asked, PREDICT, ("grpc-encoding", "gzip"), ACCEPTS_GZIP)
    compressed, message = opened(answer)
    assert (answer.status, compressed) == (0, False)
    assert PredictResponse.FromString(message).prediction.outcomes
    assert answer.headers.get("grpc-encoding", "identity") == "identity"
    assert "gzip" in answer.headers["grpc-accept-encoding"]


def test_an_unknown_encoding_fails_its_call_and_keeps_the_connection(running_server: RunningServer) -> None:
    with wired(running_server.target) as wire:
        answer = wire.ask(framed(b"?", compressed=True), PREDICT, ("grpc-encoding", "snappy"))
        assert answer.status in {UNIMPLEMENTED, INTERNAL}  # gRPC asks for the first; grpcio 1.81 says the second
        assert wire.ask(framed(BALL.SerializeToString())).status == 0


def test_a_message_with_a_wrong_compression_flag_fails_only_its_call(
    running_server: RunningServer,
) -> None:
    with wired(running_server.target) as wire:
        asked = framed(b"not compressed", compressed=True)
        assert wire.ask(asked, PREDICT, ("grpc-encoding", "gzip")).status == INTERNAL
        assert wire.ask(asked).status not in {0, None}
        assert wire.ask(framed(BALL.SerializeToString())).status == 0


def bomb(mebibytes: int) -> bytes:
    """Compress zeros, a mebibyte at a time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join([*(packer.compress(zeros) for _ in range(mebibytes)), packer.flush()])


def test_a_message_too_large_once_decompressed_is_refused(strict_server: RunningServer) -> None:
    before = memory(strict_server)
    packed = framed(bomb(20), compressed=True)
    with wired(strict_server.target) as wire:
        for _ in range(10):
            assert wire.ask(packed, PREDICT, ("grpc-encoding", "gzip")).status == EXHAUSTED
        assert wire.ask(framed(BALL.SerializeToString())).status == 0
    assert memory(strict_server) - before < 100


def test_large_responses_are_compressed_if_accepted_and_small_ones_never(
    strict_server: RunningServer,
) -> None:
    with wired(strict_server.target) as wire:
        large = wire.ask(framed(BATCH), BATCH_PREDICT, ACCEPTS_GZIP)
        unable = wire.ask(framed(BATCH), BATCH_PREDICT)
        small = wire.ask(framed(BALL.SerializeToString()), PREDICT, ACCEPTS_GZIP)
    assert [opened(each)[0] for each in (large, unable, small)] == [True, False, False]
    message = gzip.decompress(opened(large)[1])
    assert BatchPredictResponse.FromString(message) == BatchPredictResponse.FromString(opened(unable)[1])
