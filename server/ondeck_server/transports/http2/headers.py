"""The headers of a call, read and written: pure."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from ondeck_server.rpc import correlation

Field: TypeAlias = tuple[bytes, bytes]

CONTENT: Final = b"application/grpc"
CORRELATION: Final = correlation.HEADER.encode()
BEGUN: Final[list[Field]] = [
    (b":status", b"200"),
    (b"content-type", CONTENT),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
GZIPPED: Final[list[Field]] = [*BEGUN, (b"grpc-encoding", b"gzip")]
ENDED_WELL: Final[list[Field]] = [(b"grpc-status", b"0")]
NOT_GRPC: Final[list[Field]] = [(b":status", b"415"), (b"content-type", b"text/plain")]
NOT_POST: Final[list[Field]] = [(b":status", b"405"), (b"content-type", b"text/plain"), (b"allow", b"POST")]

_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_LONGEST_TIMEOUT: Final = 8  # digits
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_OURS: Final = (b":", b"grpc-")  # what fields begin with that are no metadata
_OURS_TOO: Final = (b"te", b"content-type")
_OVERHEAD: Final = 32  # bytes of a field beside its name and value, as HTTP/2 counts


@dataclass(kw_only=True, slots=True)
class RequestHeaders:
    """What a call begins with; `timeout` in seconds."""

    path: bytes = b""
    method: bytes = b""
    content_type: bytes = b""
    timeout: float | None = None
    encoding: bytes = b"identity"
    accepts: bytes = b""
    correlation: bytes = b""


def read_head(fields: Iterable[Field]) -> RequestHeaders:
    """Read the fields that matter to every call; a timeout that cannot be read is none."""
    head = RequestHeaders()
    for name, value in fields:
        if name == b":path":
            head.path = value
        elif name == b":method":
            head.method = value
        elif name == b"content-type":
            head.content_type = value
        elif name == b"grpc-timeout":
            head.timeout = seconds_of(value)
        elif name == b"grpc-encoding":
            head.encoding = value
        elif name == b"grpc-accept-encoding":
            head.accepts = value
        elif name == CORRELATION:
            head.correlation = value
    return head


def seconds_of(timeout: bytes) -> float | None:
    """Read a timeout: at most eight digits and a unit, as `20m` for 20 milliseconds."""
    number, unit = timeout[:-1], _SECONDS.get(timeout[-1:])
    if unit is None or not number.isdigit() or len(number) > _LONGEST_TIMEOUT:
        return None
    return int(number) * unit


def size_of(fields: Iterable[Field]) -> int:
    """Count the bytes of fields as HTTP/2 does."""
    return sum(len(name) + len(value) + _OVERHEAD for name, value in fields)


def metadata_of(fields: Iterable[Field]) -> Iterator[tuple[str, str]]:
    """List the caller's text metadata."""
    for name, value in fields:
        if not name.startswith(_OURS) and name not in _OURS_TOO and not name.endswith(b"-bin"):
            yield name.decode("ascii", "replace"), value.decode("utf-8", "replace")


def trailers(code: int, message: str, metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """Write the status that a call ends with."""
    fields = [(b"grpc-status", str(code).encode())]
    if message:
        fields.append((b"grpc-message", quote(message, safe=_PLAIN).encode()))
    return [*fields, *(_written(name, value) for name, value in metadata)]


def _written(name: str, value: str | bytes) -> Field:
    if isinstance(value, bytes):
        return name.encode(), base64.b64encode(value).rstrip(b"=")
    return name.encode(), value.encode()
