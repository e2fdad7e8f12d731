"""The methods of a service with what a transport needs to serve them: codec, handler and metrics."""

import asyncio
import inspect
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Histogram

from ondeck_server.rpc.errors import ProtocolError, UnreadableRequestError
from ondeck_server.rpc.field_count import count_fields, field_table, has_repeated_fields

MAX_FIELDS: Final = 256  # of a request, unless its handler has `allow_fields`
MAX_PLAIN_BYTES: Final = 1 << 16  # of a request whose type has no repeated fields
_MIN_COUNTED_BYTES: Final = 512  # fewer bytes never need much memory
_UNLIMITED: Final = 1 << 32

Handler = TypeVar("Handler", bound=Callable[..., Any])
Decode: TypeAlias = Callable[[bytes], Message]
Encode: TypeAlias = Callable[[Any], bytes]

_TYPES: Final = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}


class CallMetrics:
    """Prometheus metrics of all methods, with the names and labels of go-grpc-prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("grpc_type", "grpc_service", "grpc_method")
        self._calls = Counter("grpc_server_handled", "Calls completed.", (*labels, "grpc_code"), registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "Duration of calls, in seconds.", labels, registry=registry
        )

    def of(self, service: str, method: str, kind: str) -> "MethodMetrics":
        """Return the metrics of one method; `kind` is `unary`, `client_stream`, `server_stream` or `bidi_stream`."""
        return MethodMetrics((kind, service, method), self._calls, self._seconds)


class MethodMetrics:
    """Metrics of one method, written once per turn of the event loop: each value is in a file, and slow to change."""

    def __init__(self, labels: tuple[str, str, str], calls: Counter, seconds: Histogram) -> None:
        self._labels = labels
        self._calls = calls
        self._seconds = seconds.labels(*labels)
        self._by_code: dict[int, Counter] = {}  # a label look-up costs more than an increment
        self._ended: list[tuple[int, float]] = []

    def observe(self, code: int, started_at: float) -> None:
        """Count a call that ends now with a status code and started at `started_at`, by `time.perf_counter`."""
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._write)
        self._ended.append((code, time.perf_counter() - started_at))

    def _write(self) -> None:
        ended, self._ended = self._ended, []
        for code, calls in Tally(code for code, _ in ended).items():
            self._of_code(code).inc(calls)
        # `Histogram.observe` takes one duration: it would write two values for each call.
        self._seconds._sum.inc(sum(seconds for _, seconds in ended))  # noqa: SLF001  as above
        bounds = self._seconds._upper_bounds  # noqa: SLF001  as above
        for bucket, calls in Tally(bisect_left(bounds, seconds) for _, seconds in ended).items():
            self._seconds._buckets[bucket].inc(calls)  # noqa: SLF001  as above

    def _of_code(self, code: int) -> Counter:
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._calls.labels(*self._labels, code_pb2.Code.Name(code))
        return counter


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One method; `handle` takes a `CallContext` and one request or an iterator of requests.

    `is_coroutine`: it runs in a task; a handler of unary calls that is none returns a `PendingResponse`.
    """

    name: str  # /package.Service/Method
    client_streaming: bool
    server_streaming: bool
    decode: Decode
    encode: Encode
    handle: Callable[..., Any]
    is_coroutine: bool
    metrics: MethodMetrics
    max_bytes: int  # of a request; the transport may permit less


def allow_fields(count: int) -> Callable[[Handler], Handler]:
    """Let requests of a handler have more fields than `MAX_FIELDS`, those of submessages included."""

    def mark(handler: Handler) -> Handler:
        handler.max_fields = count  # type: ignore[attr-defined]  # read by `methods_of`
        return handler

    return mark


def methods_of(service: ServiceDescriptor, handlers: object, metrics: CallMetrics) -> Iterator[Method]:
    """Yield the methods of a service; the attribute of `handlers` with the name in snake case handles each."""
    for method in service.methods:
        kind = _TYPES[method.client_streaming, method.server_streaming]
        handle = getattr(handlers, _snake_case(method.name))
        max_bytes = _UNLIMITED if has_repeated_fields(method.input_type) else MAX_PLAIN_BYTES
        yield Method(
            name=f"/{service.full_name}/{method.name}",
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
            decode=_decoder(method, max_bytes, getattr(handle, "max_fields", MAX_FIELDS)),
            encode=_encoder(method),
            handle=handle,
            is_coroutine=kind != "unary" or inspect.iscoroutinefunction(handle),
            metrics=metrics.of(service.full_name, method.name, kind),
            max_bytes=max_bytes,
        )


def _decoder(method: MethodDescriptor, max_bytes: int, max_fields: int) -> Decode:
    """Return a decoder of requests; its error names the message type, which grpcio's own would not.

    It runs on the event loop. A thread would not help, since the parser holds the interpreter lock; the limit of fields
    bounds its time.
    """
    message_class, table = GetMessageClass(method.input_type), field_table(method.input_type)

    def decode(request: bytes) -> Message:
        size = len(request)
        if size > max_bytes:
            text = f"the request has {size} bytes, more than the limit of {max_bytes} for {method.name}"
            raise ProtocolError(code_pb2.RESOURCE_EXHAUSTED, text)
        if size >= _MIN_COUNTED_BYTES and count_fields(request, table, max_fields) > max_fields:
            raise UnreadableRequestError(f"the request has more than {max_fields} fields, the limit of {method.name}")
        try:
            return message_class.FromString(request)
        except DecodeError as error:
            text = f"the request is not a valid {method.input_type.full_name}: {error}"
            raise UnreadableRequestError(text) from error

    return decode


def _encoder(method: MethodDescriptor) -> Encode:
    """Return an encoder of responses; one that is serialized already is returned as it is."""
    serialize: Encode = GetMessageClass(method.output_type).SerializeToString

    def encode(response: Message | bytes) -> bytes:
        return response if isinstance(response, bytes) else serialize(response)

    return encode


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
