"""What gRPC puts on top of HTTP/2: headers, messages in bytes, requests that wait."""

import asyncio
import gzip
import struct
import zlib
from collections.abc import Iterable
from dataclasses import replace

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.method import methods_of
from ondeck_server.rpc.metrics import CallMetrics
from ondeck_server.services.health import HealthService
from ondeck_server.services.health_messages import HEALTH
from ondeck_server.transports.http2.codec import MessageDecoder, ProtocolError, encode
from ondeck_server.transports.http2.context import Http2CallContext, Peer
from ondeck_server.transports.http2.headers import Field, metadata_of, read_head, seconds_of, size_of, trailers
from ondeck_server.transports.http2.peer import identity_of
from ondeck_server.transports.http2.request_queue import RequestQueue
from ondeck_server.transports.http2.stream import StreamLimits
from ondeck_server.transports.http2.stream_types import ClientStreaming, UnaryRequest

LONGEST = 1000


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (b"20m", 0.02),
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"4u", 4e-6),
        (b"5n", 5e-9),
        (b"99999999S", 99_999_999),
        (b"0m", 0),
        (b"999999999S", None),
        (b"-1S", None),
        (b"1", None),
        (b"S", None),
        (b"", None),
        (b"soon", None),
        (b"1.5S", None),
    ],
)
def test_a_timeout_is_digits_and_a_unit(timeout: bytes, seconds: float | None) -> None:
    assert seconds_of(timeout) == (None if seconds is None else pytest.approx(seconds))


def test_request_headers_are_parsed() -> None:
    head = read_head(
        [
            (b":method", b"POST"),
            (b":path", b"/a.B/C"),
            (b"content-type", b"application/grpc+proto"),
            (b"grpc-timeout", b"1S"),
            (b"grpc-encoding", b"gzip"),
            (b"grpc-accept-encoding", b"identity,gzip"),
            (b"x-correlation-id", b"seven"),
            (b"x-else", b"?"),
        ]
    )
    assert (head.method, head.path, head.content_type) == (b"POST", b"/a.B/C", b"application/grpc+proto")
    assert (head.timeout, head.encoding, head.accepts, head.correlation) == (1, b"gzip", b"identity,gzip", b"seven")


def test_metadata_is_the_text_that_the_caller_sent() -> None:
    fields = [
        (b":path", b"/"),
        (b"te", b"trailers"),
        (b"team", b"NYY"),
        (b"grpc-timeout", b"1S"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"it"),
        (b"x-raw-bin", b"AAA"),
        (b"x-word", b"yes"),
    ]
    assert dict(metadata_of(fields)) == {"team": "NYY", "user-agent": "it", "x-word": "yes"}


def test_header_fields_have_their_http2_size() -> None:
    assert size_of([(b"name", b"value"), (b"a", b"")]) == 4 + 5 + 32 + 1 + 32


def test_a_status_message_survives_percent_encoding() -> None:
    fields = dict(trailers(3, "100 % näher\n", [("a-bin", b"\0\xff"), ("b", "c")]))
    assert fields[b"grpc-status"] == b"3"
    assert fields[b"grpc-message"] == b"100 %25 n%C3%A4her%0A"
    assert fields[b"a-bin"] == b"AP8"
    assert fields[b"b"] == b"c"


def fed(messages: MessageDecoder, data: bytes, cuts: Iterable[int]) -> list[bytes]:
    found, at = [], 0
    for cut in (*sorted(cuts), len(data)):
        found += messages.feed(data[at:cut])
        at = max(at, cut)
    return found


@given(st.lists(st.binary(max_size=60), max_size=8), st.data())
def test_messages_survive_any_split_of_their_bytes(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode(message) for message in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=10))
    messages = MessageDecoder(LONGEST)
    assert fed(messages, stream, cuts) == sent
    assert messages.between


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from([b"gzip", b"deflate"]))
def test_compressed_messages_are_decompressed(sent: list[bytes], encoding: bytes) -> None:
    pack = gzip.compress if encoding == b"gzip" else zlib.compress
    stream = b"".join(struct.pack(">BI", 1, len(pack(each))) + pack(each) for each in sent)
    assert MessageDecoder(LONGEST, encoding).feed(stream) == sent


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_are_refused(noise: bytes) -> None:
    found: list[bytes] = []
    code = code_pb2.INTERNAL
    try:
        found = MessageDecoder(LONGEST, b"gzip").feed(noise)
    except ProtocolError as refused:
        code = refused.code
    assert code in {code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED}
    assert all(len(each) <= LONGEST for each in found)


@pytest.mark.parametrize(
    ("encoding", "sent", "code"),
    [
        (b"identity", struct.pack(">BI", 0, LONGEST + 1), code_pb2.RESOURCE_EXHAUSTED),
        (b"identity", encode(bytes(LONGEST + 1)), code_pb2.RESOURCE_EXHAUSTED),
        (b"gzip", b"\1" + encode(gzip.compress(bytes(LONGEST + 1)))[1:], code_pb2.RESOURCE_EXHAUSTED),
        (b"gzip", b"\1" + encode(gzip.compress(b"yes")[:-9])[1:], code_pb2.INTERNAL),
        (b"gzip", b"\1" + encode(gzip.compress(b"yes") + gzip.compress(b"no"))[1:], code_pb2.INTERNAL),
        (b"gzip", b"\1" + encode(b"no")[1:], code_pb2.INTERNAL),
        (b"identity", b"\1" + encode(b"no")[1:], code_pb2.INTERNAL),
        (b"identity", b"\7" + encode(b"no")[1:], code_pb2.INTERNAL),
        (b"snappy", b"\1" + encode(b"no")[1:], code_pb2.UNIMPLEMENTED),
    ],
)
def test_a_too_long_or_wrongly_framed_message_is_refused(encoding: bytes, sent: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        MessageDecoder(LONGEST, encoding).feed(sent)
    assert refused.value.code == code


def test_an_empty_message_is_empty_compressed_or_not() -> None:
    assert MessageDecoder(LONGEST, b"gzip").feed(b"\1\0\0\0\0" + encode(b"")) == [b"", b""]


def test_a_response_is_compressed_from_the_threshold_on() -> None:
    message = b"a" * 100
    assert encode(message, 101) == encode(message) == b"\0\0\0\0\x64" + message
    packed = encode(message, 100)
    assert packed[0] == 1
    assert gzip.decompress(packed[5:]) == message


def test_a_stream_window_grows_only_as_requests_are_read() -> None:
    let: list[int] = []

    async def read() -> list[bytes]:
        requests: RequestQueue[bytes] = RequestQueue(lambda each: each, 20, let.append)
        requests.put([b"12345"], 10)
        assert let == [10]
        requests.put([b"678901234567890"], 20)
        assert let == [10]
        requests.put([], 3)
        assert let == [10]
        first = await anext(requests)
        assert let == [10]
        second = await anext(requests)
        assert let == [10, 23]
        requests.end()
        return [first, second, *[each async for each in requests]]

    assert asyncio.run(read()) == [b"12345", b"678901234567890"]


def test_empty_requests_consume_window() -> None:
    let: list[int] = []
    requests: RequestQueue[bytes] = RequestQueue(lambda each: each, 20, let.append)
    for _ in range(10):
        requests.put([b""], 5)
    assert sum(let) < 20


class OpenLine:
    """A connection whose caller reads everything; `let` counts what it may send beyond its window."""

    def __init__(self) -> None:
        self.allowed = 0
        self.begun: list[Field] = []

    def begin(self, _: int, fields: list[Field], *, end: bool = False) -> None:  # noqa: ARG002  as `Line` has it
        self.begun += fields

    def say(self, stream: int, data: bytes) -> None: ...

    def end(self, stream: int, fields: list[Field]) -> None: ...

    def let(self, _: int, size: int) -> None:
        self.allowed += size

    def full(self, _: int) -> bool:
        return False

    async def room(self, stream: int) -> None: ...


BOUNDS = StreamLimits(longest_message=LONGEST, window=20, compress_from=None)
TOO_LONG = struct.pack(">BI", 0, LONGEST + 1)
UNREAD = encode(bytes(LONGEST))
CHECK = next(methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(CollectorRegistry())))


def called() -> Http2CallContext:
    return Http2CallContext(
        CHECK.name, Peer(address="", identity=""), read_head(()), (), asyncio.get_running_loop().time
    )


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (UnaryRequest, [UNREAD]),
        (UnaryRequest, [TOO_LONG]),
        (UnaryRequest, [UNREAD, UNREAD]),
        (ClientStreaming, [UNREAD]),
        (ClientStreaming, [TOO_LONG]),
        (ClientStreaming, [UNREAD, TOO_LONG]),
    ],
)
async def test_a_finished_call_returns_its_connection_window(
    kind: type[UnaryRequest | ClientStreaming], sent: list[bytes]
) -> None:
    line = OpenLine()
    exchange = kind(line, 1, CHECK, called(), BOUNDS)
    for each in sent:
        exchange.take(each, end=False)
    exchange.leave()
    assert line.allowed == sum(map(len, sent))


async def test_a_call_ends_with_a_status_if_its_awaited_task_is_cancelled() -> None:
    async def handle(_: CallContext, __: Message) -> Message:
        raise asyncio.CancelledError

    line = OpenLine()
    exchange = UnaryRequest(line, 1, replace(CHECK, handle=handle), called(), BOUNDS)
    exchange.take(encode(b""), end=True)
    await asyncio.sleep(0)
    assert exchange.over
    assert (b"grpc-status", b"1") in line.begun


def test_a_waiting_reader_is_woken_by_a_request_and_by_the_end() -> None:
    async def read() -> list[bytes]:
        requests: RequestQueue[bytes] = RequestQueue(lambda each: each, 10, lambda _: None)

        async def all_of_them() -> list[bytes]:
            return [each async for each in requests]

        reading = asyncio.create_task(all_of_them())
        await asyncio.sleep(0)
        requests.put([b"1"], 6)
        await asyncio.sleep(0)
        requests.end()
        return await reading

    assert asyncio.run(read()) == [b"1"]


@pytest.mark.parametrize(
    ("certificate", "identity"),
    [
        ({}, ""),
        ({"subject": ((("commonName", "Scout"),),)}, "Scout"),
        ({"subject": ((("organizationName", "O"),),)}, ""),
        (
            {"subject": ((("commonName", "Scout"),),), "subjectAltName": (("URI", "spiffe://a"), ("DNS", "b"))},
            "spiffe://a",
        ),
    ],
)
def test_a_certificate_names_its_holder(certificate: dict[str, object], identity: str) -> None:
    assert identity_of(certificate) == identity
