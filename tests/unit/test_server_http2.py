"""gRPC on HTTP/2: headers, message framing, queued requests."""

import asyncio
import gzip
import struct
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.errors import ProtocolError
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.security.identity import Peer, identity_of
from ondeck_server.services.health import HEALTH, HealthCheckRequest, HealthService
from ondeck_server.transports.http2.byte_accounts import ByteAccount
from ondeck_server.transports.http2.client_stream import ClientStream
from ondeck_server.transports.http2.large_messages import LargeMessages
from ondeck_server.transports.http2.rejection import Refusals
from ondeck_server.transports.http2.request_queue import RequestQueue
from ondeck_server.transports.http2.stream import UnaryRequestStream
from ondeck_server.transports.http2.stream_writer import StreamLimits
from ondeck_server.transports.http2.wire_format import (
    CompressedMessage,
    Field,
    HeaderParser,
    MessageDecoder,
    encode,
    parse_headers,
    parse_timeout,
    status_trailers,
    text_metadata,
)

MAX_MESSAGE = 1000


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
    assert parse_timeout(timeout) == (None if seconds is None else pytest.approx(seconds))


def test_request_headers_are_parsed() -> None:
    head = parse_headers(
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
    assert dict(text_metadata(fields)) == {"team": "NYY", "user-agent": "it", "x-word": "yes"}


def test_header_fields_have_their_http2_size() -> None:
    assert parse_headers([(b"name", b"value"), (b"a", b"")]).size == 4 + 5 + 32 + 1 + 32


def test_equal_headers_are_parsed_once_and_others_again() -> None:
    parser, first = HeaderParser(), ((b":path", b"/a/b"), (b"grpc-timeout", b"1S"))
    other, long = ((b":path", b"/a/b"), (b"grpc-timeout", b"2S")), ((b"name", b"v" * 2000),)
    assert parser.parse(first) is parser.parse(tuple(first))
    assert [parser.parse(fields).timeout for fields in (first, other, first, ())] == [1.0, 2.0, 1.0, None]
    assert parser.parse(long) is not parser.parse(long)  # not kept in memory


def test_a_status_message_survives_percent_encoding() -> None:
    fields = dict(status_trailers(3, "100 % näher\n", [("a-bin", b"\0\xff"), ("b", "c")]))
    assert fields[b"grpc-status"] == b"3"
    assert fields[b"grpc-message"] == b"100 %25 n%C3%A4her%0A"
    assert fields[b"a-bin"] == b"AP8"
    assert fields[b"b"] == b"c"


def read_all(messages: MessageDecoder, data: bytes) -> list[bytes]:
    return [each if isinstance(each, bytes) else each.inflate() for each in messages.feed(data)]


def decode_pieces(messages: MessageDecoder, data: bytes, cuts: Iterable[int]) -> list[bytes]:
    found, at = [], 0
    for cut in (*sorted(cuts), len(data)):
        found += read_all(messages, data[at:cut])
        at = max(at, cut)
    return found


@given(st.lists(st.binary(max_size=60), max_size=8), st.data())
def test_messages_survive_any_split_of_their_bytes(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode(message) for message in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=10))
    messages = MessageDecoder(MAX_MESSAGE)
    assert decode_pieces(messages, stream, cuts) == sent
    assert messages.is_empty


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from([b"gzip", b"deflate"]))
def test_compressed_messages_are_decompressed(sent: list[bytes], encoding: bytes) -> None:
    pack = gzip.compress if encoding == b"gzip" else zlib.compress
    stream = b"".join(struct.pack(">BI", 1, len(pack(each))) + pack(each) for each in sent)
    assert read_all(MessageDecoder(MAX_MESSAGE, encoding), stream) == sent


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_are_refused(noise: bytes) -> None:
    found: list[bytes] = []
    code = code_pb2.INTERNAL
    try:
        found = read_all(MessageDecoder(MAX_MESSAGE, b"gzip"), noise)
    except ProtocolError as refused:
        code = refused.code
    assert code in {code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED}
    assert all(len(each) <= MAX_MESSAGE for each in found)


@pytest.mark.parametrize(
    ("encoding", "sent", "code"),
    [
        (b"identity", struct.pack(">BI", 0, MAX_MESSAGE + 1), code_pb2.RESOURCE_EXHAUSTED),
        (b"identity", encode(bytes(MAX_MESSAGE + 1)), code_pb2.RESOURCE_EXHAUSTED),
        (b"gzip", b"\1" + encode(gzip.compress(bytes(MAX_MESSAGE + 1)))[1:], code_pb2.RESOURCE_EXHAUSTED),
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
        read_all(MessageDecoder(MAX_MESSAGE, encoding), sent)
    assert refused.value.code == code


def test_an_empty_message_is_empty_compressed_or_not() -> None:
    assert MessageDecoder(MAX_MESSAGE, b"gzip").feed(b"\1\0\0\0\0" + encode(b"")) == [b"", b""]


def test_a_response_is_compressed_from_the_threshold_on() -> None:
    message = b"a" * 100
    assert encode(message, 101) == encode(message) == b"\0\0\0\0\x64" + message
    packed = encode(message, 100)
    assert packed[0] == 1
    assert gzip.decompress(packed[5:]) == message


class OpenWriter:
    """A connection whose client reads everything; `granted` counts the window that it gets back."""

    def __init__(self) -> None:
        self.peer = Peer(address="", identity="")
        self.account = ByteAccount(1 << 20, (), Refusals(CallMetrics(MetricsBlock())), self.peer, lambda _: None)
        self.granted = 0
        self.headers: list[Field] = []

    def send_headers(self, _: int, fields: list[Field], *, end: bool = False) -> None:  # noqa: ARG002  as `StreamWriter`
        self.headers += fields

    def send_data(self, stream: int, data: bytes) -> None: ...

    def send_trailers(self, stream: int, fields: list[Field]) -> None: ...

    def reset_unsent(self, _: int) -> bool:
        return False

    def grant_window(self, _: int, size: int) -> None:
        self.granted += size

    def queued_bytes(self, _: int) -> int:
        return 0

    def is_blocked(self, _: int) -> bool:
        return False

    async def wait_writable(self, stream: int) -> None: ...


LARGE_MESSAGES = LargeMessages(1 << 20)
LIMITS = StreamLimits(max_message=MAX_MESSAGE, window=20, compression_threshold=None, large_messages=LARGE_MESSAGES)
TOO_LONG = struct.pack(">BI", 0, MAX_MESSAGE + 1)
UNREAD = encode(bytes(MAX_MESSAGE))
CHECK, WATCH, *_ = methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(MetricsBlock()))


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (UnaryRequestStream, [UNREAD]),
        (UnaryRequestStream, [TOO_LONG]),
        (UnaryRequestStream, [UNREAD, UNREAD]),
        (ClientStream, [UNREAD]),
        (ClientStream, [TOO_LONG]),
        (ClientStream, [UNREAD, TOO_LONG]),
    ],
)
async def test_a_finished_call_returns_its_connection_window(
    kind: type[UnaryRequestStream | ClientStream], sent: list[bytes]
) -> None:
    writer = OpenWriter()
    stream = kind(writer, 1, CHECK, parse_headers(()), LIMITS)
    for each in sent:
        stream.receive(each, end=False)
    stream.cancel()
    assert writer.granted == sum(map(len, sent))


async def test_a_call_ends_with_a_status_if_its_awaited_task_is_cancelled() -> None:
    async def handle(_: CallContext, __: Message) -> Message:
        raise asyncio.CancelledError

    writer = OpenWriter()
    stream = UnaryRequestStream(writer, 1, replace(CHECK, handle=handle), parse_headers(()), LIMITS)
    stream.receive(encode(b""), end=True)
    await asyncio.sleep(0)
    assert stream.is_over
    assert (b"grpc-status", b"1") in writer.headers


async def test_a_stream_window_grows_only_as_requests_are_read() -> None:
    requested: asyncio.Queue[None] = asyncio.Queue()
    taken: list[Message] = []

    async def handle(_: CallContext, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        await requested.get()
        async for request in requests:
            taken.append(request)
            await requested.get()
        for response in list[Message]():
            yield response

    writer = OpenWriter()
    stream = ClientStream(writer, 1, replace(WATCH, client_streaming=True, handle=handle), parse_headers(()), LIMITS)
    granted = []
    for size in (5, 10, 3):
        stream.receive(encode(HealthCheckRequest(service="x" * size).SerializeToString()), end=False)
        granted.append(writer.granted)
    assert granted == [12, 12, 12]  # the second message exceeds the window of 20
    for _ in range(2):
        requested.put_nowait(None)
        await asyncio.sleep(0.01)
        granted.append(writer.granted)
    assert granted[3:] == [12, 39]
    stream.receive(b"", end=True)
    requested.put_nowait(None)
    requested.put_nowait(None)
    await asyncio.sleep(0.01)
    assert (len(taken), stream.is_over) == (3, True)


def test_a_waiting_reader_is_woken_by_a_request_and_by_the_end() -> None:
    async def inflate(message: CompressedMessage) -> bytes:
        return message.inflate()

    async def read() -> list[bytes]:
        requests: RequestQueue[bytes] = RequestQueue(lambda each: each, inflate, lambda: None, lambda _: None)

        async def read_all() -> list[bytes]:
            return [each async for each in requests]

        reading = asyncio.create_task(read_all())
        await asyncio.sleep(0)
        requests.put([b"1"])
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
