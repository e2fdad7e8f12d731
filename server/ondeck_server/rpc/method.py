"""The methods of a service with what a transport needs to serve them: codec, handler and metrics."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Histogram

from ondeck_server.rpc.errors import UnreadableRequestError

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
    """Metrics of one method. A label look-up costs more than an increment, so each series is looked up once."""

    def __init__(self, labels: tuple[str, str, str], calls: Counter, seconds: Histogram) -> None:
        self._labels = labels
        self._calls = calls
        self._seconds = seconds.labels(*labels)
        self._by_code: dict[int, Counter] = {}

    def observe(self, code: int, started_at: float) -> None:
        """Count a call that ends now with a status code and started at `started_at`, by `time.perf_counter`."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._calls.labels(*self._labels, code_pb2.Code.Name(code))
        counter.inc()
        self._seconds.observe(time.perf_counter() - started_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One method; `handle` takes a `CallContext` and one request or an iterator of requests."""

    name: str  # /package.Service/Method
    client_streaming: bool
    server_streaming: bool
    decode: Decode
    encode: Encode
    handle: Callable[..., Any]
    metrics: MethodMetrics


def methods_of(service: ServiceDescriptor, handlers: object, metrics: CallMetrics) -> Iterator[Method]:
    """Yield the methods of a service; the attribute of `handlers` with the name in snake case handles each."""
    for method in service.methods:
        kind = _TYPES[method.client_streaming, method.server_streaming]
        yield Method(
            name=f"/{service.full_name}/{method.name}",
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
            decode=_decoder(method),
            encode=GetMessageClass(method.output_type).SerializeToString,
            handle=getattr(handlers, _snake_case(method.name)),
            metrics=metrics.of(service.full_name, method.name, kind),
        )


def _decoder(method: MethodDescriptor) -> Decode:
    """Return a decoder of requests; its error names the message type, which grpcio's own would not."""
    message_class = GetMessageClass(method.input_type)

    def decode(request: bytes) -> Message:
        try:
            return message_class.FromString(request)
        except DecodeError as error:
            text = f"the request is not a valid {method.input_type.full_name}: {error}"
            raise UnreadableRequestError(text) from error

    return decode


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
