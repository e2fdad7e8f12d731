"""The methods of a service with what a transport needs to serve them: codec, handler and metrics."""

import inspect
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from ondeck_runtime.metrics import Counter, CounterFamily, GaugeFamily, HistogramFamily, MetricsBlock
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


# The names and labels of go-grpc-prometheus; all transports count alike.
OTHER: Final = "other"  # label of methods that the server does not have: no text of a caller becomes a label
UNKNOWN_TYPE: Final = "unknown"

_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")
STARTED: Final = CounterFamily("grpc_server_started", "calls that began, refused ones included", _LABELS)
HANDLED: Final = CounterFamily(
    "grpc_server_handled", "completed calls, refused ones included, by status", (*_LABELS, "grpc_code")
)
SECONDS: Final = HistogramFamily(
    "grpc_server_handling_seconds", "seconds from the headers of a call to its status, to the end of a stream", _LABELS
)
RECEIVED: Final = CounterFamily("grpc_server_msg_received", "request messages", _LABELS)
SENT: Final = CounterFamily("grpc_server_msg_sent", "response messages", _LABELS)
IN_FLIGHT: Final = GaugeFamily("ondeck_calls_in_flight", "calls in progress", _LABELS)


class CallMetrics:
    """The metrics of all methods."""

    def __init__(self, block: MetricsBlock) -> None:
        self.block = block
        block.declare(HANDLED)
        self.other = MethodMetrics(block, (UNKNOWN_TYPE, OTHER, OTHER))  # calls of unknown methods

    def of(self, service: str, method: str, kind: str) -> "MethodMetrics":
        """Return the metrics of one method; `kind` is `unary`, `client_stream`, `server_stream` or `bidi_stream`."""
        return MethodMetrics(self.block, (kind, service, method))


class MethodMetrics:
    """The metrics of one method; a call is counted when it has ended: a response in the queue may still expire.

    It adds to the values without calls of methods, which would take longer than the additions.
    """

    def __init__(self, block: MetricsBlock, labels: tuple[str, str, str]) -> None:
        self._block = block
        self._labels = labels
        self._started = block.counter(STARTED, *labels)
        self._in_flight = block.gauge(IN_FLIGHT, *labels)
        self._seconds = block.histogram(SECONDS, *labels)
        self._by_code: dict[int, Counter] = {}
        self.received = block.counter(RECEIVED, *labels)
        self.sent = block.counter(SENT, *labels)

    def start(self) -> None:
        """Count a call that begins."""
        started, in_flight = self._started, self._in_flight
        started.slots[started.at] += 1.0
        in_flight.slots[in_flight.at] += 1.0

    def observe(self, code: int, started_at: float) -> None:
        """Count a call that ends now with a status code and started at `started_at`, by `time.perf_counter`."""
        seconds, in_flight = self._seconds, self._in_flight
        duration = time.perf_counter() - started_at
        slots, at = seconds.slots, seconds.at
        slots[at] += duration
        slots[at + 1 + bisect_left(seconds.bounds, duration)] += 1.0
        in_flight.slots[in_flight.at] -= 1.0
        counter = self._by_code.get(code) or self._of_code(code)
        counter.slots[counter.at] += 1.0

    def refuse(self, code: int) -> None:
        """Count a call that the transport refuses with a status code."""
        self._started.inc()
        self._seconds.observe(0.0)
        self._of_code(code).inc()

    def _of_code(self, code: int) -> Counter:
        counter = self._by_code[code] = self._block.counter(HANDLED, *self._labels, code_pb2.Code.Name(code))
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
    slow_seconds: float = math.inf  # a call that takes longer is logged


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
        counted = metrics.of(service.full_name, method.name, kind)
        max_bytes = _UNLIMITED if has_repeated_fields(method.input_type) else MAX_PLAIN_BYTES
        yield Method(
            name=f"/{service.full_name}/{method.name}",
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
            decode=_decoder(method, max_bytes, getattr(handle, "max_fields", MAX_FIELDS), counted.received),
            encode=_encoder(method, counted.sent),
            handle=handle,
            is_coroutine=kind != "unary" or inspect.iscoroutinefunction(handle),
            metrics=counted,
            max_bytes=max_bytes,
        )


def _decoder(method: MethodDescriptor, max_bytes: int, max_fields: int, received: Counter) -> Decode:
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
            message = message_class.FromString(request)
        except DecodeError as error:
            text = f"the request is not a valid {method.input_type.full_name}: {error}"
            raise UnreadableRequestError(text) from error
        received.slots[received.at] += 1.0
        return message

    return decode


def _encoder(method: MethodDescriptor, sent: Counter) -> Encode:
    """Return an encoder of responses; one that is serialized already is returned as it is."""
    serialize: Encode = GetMessageClass(method.output_type).SerializeToString

    def encode(response: Message | bytes) -> bytes:
        encoded = response if isinstance(response, bytes) else serialize(response)
        sent.slots[sent.at] += 1.0
        return encoded

    return encode


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
