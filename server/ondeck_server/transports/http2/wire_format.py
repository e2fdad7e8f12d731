"""The wire format of gRPC over HTTP/2: header fields, timeouts, status trailers and length-prefixed messages."""

import base64
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from google.rpc import code_pb2

from ondeck_runtime.correlation import trace_id_of
from ondeck_server.rpc.call_log import MAX_LOGGED_PATH, log_rejected
from ondeck_server.rpc.errors import ProtocolError
from ondeck_server.rpc.server_call import CORRELATION_HEADER, TRACEPARENT_HEADER, valid_or_new_id
from ondeck_server.transports.http2.rejection import RefusalReason

Field: TypeAlias = tuple[bytes, bytes]

FRAME_HEADER_BYTES: Final = 9  # no overhead on a DATA frame with at least as much of a message
CONTENT_TYPE: Final = b"application/grpc"
RESPONSE_HEADERS: Final[list[Field]] = [
    (b":status", b"200"),
    (b"content-type", CONTENT_TYPE),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
GZIP_RESPONSE_HEADERS: Final[list[Field]] = [*RESPONSE_HEADERS, (b"grpc-encoding", b"gzip")]
OK_TRAILERS: Final[list[Field]] = [(b"grpc-status", b"0")]
NOT_GRPC: Final[list[Field]] = [(b":status", b"415"), (b"content-type", b"text/plain")]
NOT_POST: Final[list[Field]] = [(b":status", b"405"), (b"content-type", b"text/plain"), (b"allow", b"POST")]
MAX_METADATA_BYTES: Final = 16_384  # the limit of gRPC's C core
PREFIX_BYTES: Final = 5  # of a message: compressed flag and length

_CORRELATION: Final = CORRELATION_HEADER.encode()
_TRACEPARENT: Final = TRACEPARENT_HEADER.encode()
_TIMEOUT_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}  # in seconds
_MAX_TIMEOUT_DIGITS: Final = 8
_UNESCAPED: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # in grpc-message
_RESERVED_PREFIXES: Final = (b":", b"grpc-")  # of fields that are no metadata
_RESERVED_NAMES: Final = (b"te", b"content-type")
_MAX_KEPT_BYTES: Final = 1 << 10  # of headers; longer ones are parsed each time
_FIELD_OVERHEAD: Final = 32  # bytes, by the definition of SETTINGS_MAX_HEADER_LIST_SIZE
_GZIP: Final = 16 + zlib.MAX_WBITS
_SIZE_BYTES: Final = 4  # the last of a gzip message: its inflated length
_MAX_RATIO: Final = 1032  # of deflate
_WINDOW_BITS: Final = {b"gzip": _GZIP, b"deflate": zlib.MAX_WBITS}
_PACK: Final = struct.Struct(">BI").pack


Refusal: TypeAlias = tuple[RefusalReason, int, list[Field]]  # its status code for a client, and the response
UNKNOWN_METHOD: Final[Refusal] = RefusalReason.UNKNOWN_METHOD, code_pb2.UNIMPLEMENTED, []


@dataclass(kw_only=True, slots=True)
class RequestHeaders:
    """The request headers that every call needs; `timeout` in seconds."""

    path: bytes = b""
    method: bytes = b""
    content_type: bytes = b""
    timeout: float | None = None
    is_timeout_valid: bool = True
    encoding: bytes = b"identity"
    accepts: bytes = b""
    correlation: bytes = b""  # of a caller that sends only a traceparent, its trace id
    traceparent: bytes = b""
    size: int = 0  # as HTTP/2 defines it
    fields: Sequence[Field] = ()


def parse_headers(fields: Sequence[Field]) -> RequestHeaders:
    """Parse request headers."""
    headers = RequestHeaders(fields=fields, size=_FIELD_OVERHEAD * len(fields))
    for name, value in fields:
        headers.size += len(name) + len(value)
        if name == b":path":
            headers.path = value
        elif name == b":method":
            headers.method = value
        elif name == b"content-type":
            headers.content_type = value
        elif name == b"grpc-timeout":
            headers.timeout = parse_timeout(value)
            headers.is_timeout_valid = headers.timeout is not None
        elif name == b"grpc-encoding":
            headers.encoding = value
        elif name == b"grpc-accept-encoding":
            headers.accepts = value
        elif name in {_CORRELATION, _TRACEPARENT}:
            _read_correlation(headers, name, value)
    return headers


def _read_correlation(headers: RequestHeaders, name: bytes, value: bytes) -> None:
    if name == _CORRELATION:
        headers.correlation = value or headers.correlation
        return
    headers.traceparent = value
    if not headers.correlation:
        headers.correlation = trace_id_of(value.decode("ascii", "replace")).encode()


class HeaderParser:
    """Parses the request headers of one connection; they are often equal to those of the request before."""

    def __init__(self) -> None:
        self._last = RequestHeaders()

    def parse(self, fields: Sequence[Field]) -> RequestHeaders:
        """Return the headers; they are shared and must not be changed."""
        if fields == self._last.fields:
            return self._last
        headers = parse_headers(fields)
        if headers.size <= _MAX_KEPT_BYTES:
            self._last = headers
        return headers


def parse_timeout(timeout: bytes) -> float | None:
    """Return the seconds of a timeout, at most eight digits and a unit such as `20m` for 20 ms; None: invalid."""
    number, unit = timeout[:-1], _TIMEOUT_UNITS.get(timeout[-1:])
    if unit is None or not number.isdigit() or len(number) > _MAX_TIMEOUT_DIGITS:
        return None
    return int(number) * unit


def refusal_of(headers: RequestHeaders, *, is_known: bool) -> Refusal | None:
    """Return why a request is not a call of a known method, with the response."""
    if headers.method != b"POST":
        return RefusalReason.NOT_GRPC, code_pb2.UNKNOWN, NOT_POST
    if not headers.content_type.startswith(CONTENT_TYPE):
        return RefusalReason.NOT_GRPC, code_pb2.UNKNOWN, NOT_GRPC
    if headers.size > MAX_METADATA_BYTES:
        text = f"the metadata of the call exceed {MAX_METADATA_BYTES} bytes"
        return _refusal(headers, RefusalReason.METADATA_TOO_LARGE, code_pb2.RESOURCE_EXHAUSTED, text)
    if not headers.is_timeout_valid:
        text = "the grpc-timeout is malformed"
        return _refusal(headers, RefusalReason.MALFORMED_TIMEOUT, code_pb2.INTERNAL, text)
    if not is_known:
        text = "the method does not exist"
        return _refusal(headers, RefusalReason.UNKNOWN_METHOD, code_pb2.UNIMPLEMENTED, text)
    return None


def _refusal(headers: RequestHeaders, reason: RefusalReason, code: int, text: str) -> Refusal:
    """Log a call that no method serves, and return its status with the correlation id."""
    correlation_id = valid_or_new_id(headers.correlation.decode("utf-8", "replace"))
    log_rejected(headers.path[:MAX_LOGGED_PATH].decode("ascii", "replace"), correlation_id, code, "")
    return reason, code, [*RESPONSE_HEADERS, *status_trailers(code, text, ((CORRELATION_HEADER, correlation_id),))]


def text_metadata(fields: Iterable[Field]) -> Iterator[tuple[str, str]]:
    """Yield the caller's text metadata."""
    for name, value in fields:
        if not name.startswith(_RESERVED_PREFIXES) and name not in _RESERVED_NAMES and not name.endswith(b"-bin"):
            yield name.decode("ascii", "replace"), value.decode("utf-8", "replace")


def status_trailers(code: int, message: str, metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """Return the trailers of a status; binary metadata as base64."""
    fields = [(b"grpc-status", str(code).encode())]
    if message:
        fields.append((b"grpc-message", quote(message, safe=_UNESCAPED).encode()))
    for name, value in metadata:
        encoded = base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode()
        fields.append((name.encode(), encoded))
    return fields


class CompressedMessage:
    """A message as it arrived; `size` is its length once inflated, or the most that it can be."""

    def __init__(self, packed: bytes, encoding: bytes, max_bytes: int) -> None:
        self.packed = packed
        self._window = _WINDOW_BITS[encoding]
        self._max_bytes = max_bytes
        stated = int.from_bytes(packed[-_SIZE_BYTES:], "little") if self._window == _GZIP else max_bytes
        self.size = min(stated, max_bytes, _MAX_RATIO * len(packed))

    def inflate(self) -> bytes:
        """Return the message.

        Raises:
            ProtocolError: it is too long, or its compression is invalid.
        """
        inflater = zlib.decompressobj(self._window)
        try:
            inflated = inflater.decompress(self.packed, self.size + 1)
        except zlib.error as error:
            raise ProtocolError(code_pb2.INTERNAL, "a message is not valid in the grpc-encoding of its call") from error
        if len(inflated) > self._max_bytes:
            raise too_long(len(inflated), self._max_bytes)
        if not inflater.eof or inflater.unused_data:
            raise ProtocolError(code_pb2.INTERNAL, "a compressed message is truncated or has trailing bytes")
        return inflated


def too_long(length: int, max_bytes: int) -> ProtocolError:
    """Return the error of a message that is too long."""
    text = f"a message has {length} bytes, more than {max_bytes}, the limit of its method or ONDECK_MAX_MESSAGE_MIB"
    return ProtocolError(code_pb2.RESOURCE_EXHAUSTED, text)


Received: TypeAlias = bytes | CompressedMessage


def received_size(message: Received) -> int:
    """Return the bytes of a message as it arrived, with its prefix."""
    return PREFIX_BYTES + len(message if isinstance(message, bytes) else message.packed)


def message_size(message: Received) -> int:
    """Return the length of a message once inflated, or the most that it can be."""
    return len(message) if isinstance(message, bytes) else message.size


class MessageDecoder:
    """Splits the bytes of a stream into messages of at most `max_bytes` each; compressed ones stay compressed."""

    def __init__(self, max_bytes: int, encoding: bytes = b"identity") -> None:
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        """Return whether no incomplete message is buffered."""
        return not self._buffer

    @property
    def expected(self) -> int:
        """Length of the incomplete message that is buffered; 0: there is none, or it is not known yet."""
        return int.from_bytes(self._buffer[1:PREFIX_BYTES], "big") if len(self._buffer) >= PREFIX_BYTES else 0

    def feed(self, data: bytes) -> list[Received]:
        """Add bytes and return the messages that they complete.

        Raises:
            ProtocolError: a message is too long, or its prefix or compression is invalid.
        """
        if (
            not self._buffer
            and data
            and not data[0]
            and len(data) == PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
        ):
            if len(data) > PREFIX_BYTES + self._max_bytes:
                raise too_long(len(data) - PREFIX_BYTES, self._max_bytes)
            return [data[PREFIX_BYTES:]]
        self._buffer += data
        return self._split()

    def _split(self) -> list[Received]:
        buffer, messages, at = self._buffer, list[Received](), 0
        while len(buffer) - at >= PREFIX_BYTES:
            length = int.from_bytes(buffer[at + 1 : at + PREFIX_BYTES], "big")
            if length > self._max_bytes:
                raise too_long(length, self._max_bytes)
            end = at + PREFIX_BYTES + length
            if len(buffer) < end:
                break
            messages.append(self._received(buffer[at], bytes(buffer[at + PREFIX_BYTES : end])))
            at = end
        del buffer[:at]
        return messages

    def _received(self, flag: int, message: bytes) -> Received:
        if not flag or (flag == 1 and not message):
            return message
        if flag != 1 or self._encoding == b"identity":
            raise ProtocolError(code_pb2.INTERNAL, f"a message has the flag {flag}, and the call has no grpc-encoding")
        if self._encoding not in _WINDOW_BITS:
            supported = ", ".join(name.decode() for name in _WINDOW_BITS)
            raise ProtocolError(code_pb2.UNIMPLEMENTED, f"the grpc-encoding is not supported; use one of {supported}")
        return CompressedMessage(message, self._encoding, self._max_bytes)


def encode(message: bytes, compression_threshold: int | None = None) -> bytes:
    """Return a message with its prefix, compressed by gzip from a number of bytes on; None: never compressed."""
    if compression_threshold is None or len(message) < compression_threshold:
        return _PACK(0, len(message)) + message
    deflater = zlib.compressobj(wbits=_GZIP)
    packed = deflater.compress(message) + deflater.flush()
    return _PACK(1, len(packed)) + packed
