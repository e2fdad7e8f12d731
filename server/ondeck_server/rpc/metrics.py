"""Prometheus metrics of calls, with the names and labels of go-grpc-prometheus."""

import time

from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Histogram


class CallMetrics:
    """Metrics of all rpcs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("grpc_type", "grpc_service", "grpc_method")
        self._calls = Counter("grpc_server_handled", "Calls completed.", (*labels, "grpc_code"), registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "Duration of calls, in seconds.", labels, registry=registry
        )

    def of(self, service: str, method: str, kind: str) -> "MethodMetrics":
        """Return the metrics of one rpc; `kind` is `unary`, `client_stream`, `server_stream` or `bidi_stream`."""
        return MethodMetrics((kind, service, method), self._calls, self._seconds)


class MethodMetrics:
    """Metrics of one rpc. A label look-up costs more than an increment, so each series is looked up once."""

    def __init__(self, labels: tuple[str, str, str], calls: Counter, seconds: Histogram) -> None:
        self._labels = labels
        self._calls = calls
        self._seconds = seconds.labels(*labels)
        self._by_code: dict[int, Counter] = {}

    def ended(self, code: int, begin: float) -> None:
        """Count a call that ended now, with a status code, and began at `begin`, by `time.perf_counter`."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._calls.labels(*self._labels, code_pb2.Code.Name(code))
        counter.inc()
        self._seconds.observe(time.perf_counter() - begin)
