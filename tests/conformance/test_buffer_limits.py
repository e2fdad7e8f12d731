"""Bytes that clients make a worker hold: its memory stays flat, other clients are served, a counter moves.

grpcio buffers in its own core, which has no such limits.
"""

import base64
import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from h2.events import StreamEnded, StreamReset
from h2.settings import SettingCodes

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest
from tests.conformance.http2_client import Http2Client, Response, frame_message, open_http2
from tests.conformance.server_measurements import count_exceeded, rss_mib
from tests.conformance.stock_client import (
    BALL,
    BATCH_PREDICT,
    SPEC,
    STREAM_PREDICT,
    can_predict,
    open_channel,
    wait_until,
)
from tests.fixtures.server import RunningServer, serving

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"
LIST_MODELS = "/ondeck.v1.ModelService/ListModels"
GZIP = ("grpc-encoding", "gzip")
MEBIBYTE = 1 << 20
EXHAUSTED = 8
HUGE_WINDOW = (1 << 31) - 1
ENHANCE_YOUR_CALM, REFUSED_STREAM = 11, 7
MAX_CONNECTIONS, MAX_CALLS = 30, 600  # of the server below
GROWTH_MIB = 100  # the budget of the server below, and several copies of what is processed


@pytest.fixture(scope="module")
def server(small_repository: Path) -> Iterator[RunningServer]:
    with serving(
        small_repository,
        transport="nghttp2",
        max_connections=MAX_CONNECTIONS,
        max_calls=MAX_CALLS,
        max_buffered_mib=32,
        max_buffered_mib_per_address=32,
        max_buffered_mib_per_connection=32,
    ) as running:
        with open_channel(running.target) as channel:
            assert can_predict(channel)
        yield running


@pytest.fixture(scope="module")
def small_server(small_repository: Path) -> Iterator[RunningServer]:
    """Run a server whose limits a few responses reach."""
    limit = 8
    with serving(
        small_repository,
        transport="nghttp2",
        max_message_mib=2,
        max_queued_rows=2_000_000,
        max_buffered_mib=limit,
        max_buffered_mib_per_address=limit,
        max_buffered_mib_per_connection=limit,
    ) as running:
        with open_channel(running.target) as channel:
            assert can_predict(channel)
        yield running


@contextmanager
def flat(server: RunningServer, growth_mib: float = GROWTH_MIB) -> Iterator[None]:
    """Require that memory stays flat during the block, and that another client is served all the time."""
    before, peak, served, is_over = rss_mib(server), 0.0, 0, threading.Event()

    def watch() -> None:
        nonlocal peak, served
        with open_channel(server.target) as channel:
            while not is_over.wait(0.05):
                served += can_predict(channel)
                peak = max(peak, rss_mib(server))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    assert served > 0
    assert peak - before < growth_mib


def packed_zeros(mebibytes: int) -> bytes:
    """Return a compressed message of a field of zeros, of at most so many mebibytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    size = mebibytes * MEBIBYTE - 16
    head = b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21])
    return packer.compress(head + bytes(size)) + packer.flush()


def start_calls(client: Http2Client, number: int, path: str, *headers: tuple[str, str]) -> list[int]:
    """Start calls, once the limit of concurrent ones is known."""
    list(client.events(0.5))
    return [client.start_call(path, *headers) for _ in range(number)]


def read_responses(client: Http2Client, streams: list[int], seconds: float) -> list[Response]:
    """Return the responses of calls, as far as they arrive within some seconds."""
    found, left = {stream: Response() for stream in streams}, set(streams)
    for event in client.events(seconds):
        stream = getattr(event, "stream_id", None)
        if stream not in found:
            continue
        found[stream].headers |= {str(name): str(value) for name, value in getattr(event, "headers", None) or ()}
        if isinstance(event, StreamReset):
            found[stream].reset = int(event.error_code)
        if isinstance(event, StreamEnded | StreamReset):
            left.discard(stream)
        if not left:
            break
    return list(found.values())


def test_compressed_messages_are_inflated_one_after_the_other(server: RunningServer) -> None:
    request = frame_message(packed_zeros(16), compressed=True)
    assert len(request) < 20_000
    with flat(server, 150), open_http2(server.target) as client:
        streams = start_calls(client, 60, INFER, GZIP)  # 1 MB, which is 1 GB once inflated
        for stream in streams:
            client.send(stream, request, end=True)
        answers = read_responses(client, streams, 60)
    assert all(answer.status is not None for answer in answers)


def test_compressed_messages_of_a_stream_are_inflated_when_the_handler_asks(server: RunningServer) -> None:
    request = frame_message(packed_zeros(16), compressed=True)
    with flat(server, 150), open_http2(server.target) as client:
        streams = start_calls(client, 20, STREAM_INFER, GZIP)
        for stream in streams:
            client.send(stream, request * 3, end=True)
        answers = read_responses(client, streams, 60)
    assert [answer.status for answer in answers] == [0] * len(streams)


def reason_of(answer: Response) -> str:
    """Return the reason of an error that may be retried."""
    encoded = answer.headers["grpc-status-details-bin"]
    status = Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    return str(info.reason)


@pytest.mark.parametrize("path", [BATCH_PREDICT, STREAM_INFER])
def test_unfinished_messages_are_bounded(server: RunningServer, path: str) -> None:
    before = count_exceeded(server, "connection_bytes")
    part = frame_message(bytes(250_000))[:-1000]
    with flat(server), open_http2(server.target) as client:
        streams = start_calls(client, 300, path)  # 75 MB
        for stream in streams:
            client.send(stream, part)
        answers = read_responses(client, streams, 5)
        exhausted = [answer for answer in answers if answer.status == EXHAUSTED]
        assert exhausted
        assert reason_of(exhausted[0]) == "BUFFER_FULL"
        assert count_exceeded(server, "connection_bytes") > before


BALLS = BattedBallColumns(launch_speed=[100.0] * 20_000, launch_angle=[20.0] * 20_000)
BATCH = gzip.compress(BatchPredictRequest(model=SPEC, batted_balls=BALLS).SerializeToString())


@pytest.mark.parametrize("window", [0, HUGE_WINDOW])
def test_unread_responses_are_bounded(small_server: RunningServer, window: int) -> None:
    before = count_exceeded(small_server, "connection_bytes")
    with flat(small_server), open_http2(small_server.target) as client:
        list(client.events(0.5))
        client.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        client.http.increment_flow_control_window(HUGE_WINDOW - 65_535)
        for _ in range(30):  # their responses have 24 MB
            stream = client.start_call(BATCH_PREDICT, GZIP)
            client.http.send_data(stream, frame_message(BATCH, compressed=True), end_stream=True)
            client.flush()
        assert wait_until(40, lambda: count_exceeded(small_server, "connection_bytes") > before)


def test_a_connection_beyond_the_limit_gets_goaway(server: RunningServer) -> None:
    before = count_exceeded(server, "connections")
    with open_channel(server.target) as channel:
        assert can_predict(channel)
        with ExitStack() as stack:
            clients = [stack.enter_context(open_http2(server.target)) for _ in range(MAX_CONNECTIONS)]
            for client in clients:
                list(client.events(0.1))
            refused = [client.goaway for client in clients if client.goaway is not None]
            assert set(refused) == {ENHANCE_YOUR_CALM}
            assert count_exceeded(server, "connections") - before == len(refused) > 0
            assert can_predict(channel)
    with open_http2(server.target) as client:
        assert wait_until(5, lambda: client.call(frame_message(BALL.SerializeToString())).status == 0)


def test_a_call_beyond_the_limit_is_not_started(server: RunningServer) -> None:
    before = count_exceeded(server, "calls")
    with open_http2(server.target) as client:
        streams = start_calls(client, MAX_CALLS + 50, STREAM_PREDICT)
        refused = [each for each in read_responses(client, streams, 2) if each.reset == REFUSED_STREAM]
        assert count_exceeded(server, "calls") - before == len(refused) >= 50
    with open_http2(server.target) as client:
        assert wait_until(5, lambda: client.call(frame_message(BALL.SerializeToString())).status == 0)


def test_a_slow_large_message_does_not_keep_others_waiting_for_long(server: RunningServer) -> None:
    with open_http2(server.target) as slow, open_http2(server.target) as other:
        streams = start_calls(slow, 4, INFER)
        for stream in streams:
            slow.send(stream, frame_message(bytes(15 * MEBIBYTE))[:100_000])
        large = other.start_call(INFER)
        other.send(large, frame_message(b"\x3a\x80\x80\x80\x07" + bytes(14 * MEBIBYTE)), end=True)
        assert other.read_response(large).status == 3  # it names no model
        exhausted = [each for each in read_responses(slow, streams, 1) if each.status == EXHAUSTED]
        assert reason_of(exhausted[0]) == "BUFFER_FULL"
