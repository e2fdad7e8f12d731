"""What is measured of every call: how it ended, and how long it took."""

import time

from google.rpc import code_pb2
from prometheus_client import CollectorRegistry, Counter, Histogram


class CallMetrics:
    """The measures of all rpcs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter("ondeck_calls", "Calls ended.", ("method", "code"), registry=registry)
        self._seconds = Histogram("ondeck_call_seconds", "Seconds a call took.", ("method",), registry=registry)

    def of(self, method: str) -> "MethodMetrics":
        """Measure one rpc."""
        return MethodMetrics(method, self._calls, self._seconds)


class MethodMetrics:
    """The measures of one rpc; finding a series by its labels costs more than counting, so each is found once."""

    def __init__(self, method: str, calls: Counter, seconds: Histogram) -> None:
        self._method = method
        self._calls = calls
        self._seconds = seconds.labels(method)
        self._by_code: dict[int, Counter] = {}

    def ended(self, code: int, begin: float) -> None:
        """Count a call that ended now, with a status code, and began at `begin`, by `time.perf_counter`."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._calls.labels(self._method, code_pb2.Code.Name(code))
        counter.inc()
        self._seconds.observe(time.perf_counter() - begin)
