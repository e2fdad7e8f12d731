"""One sample of the metrics, read from the Prometheus page; every metric that the dashboard uses is named here.

A metric that the page lacks counts as zero, or as None where zero would be a statement.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

Buckets: TypeAlias = Mapping[float, float]  # cumulative count by upper bound
Labels: TypeAlias = Mapping[str, str]
Series: TypeAlias = list[tuple[Labels, float]]

HANDLED: Final = "grpc_server_handled_total"
CALL_SECONDS: Final = "grpc_server_handling_seconds_bucket"
ROWS: Final = "ondeck_predicted_rows_total"
QUEUE_SECONDS: Final = "ondeck_queue_seconds_bucket"
IN_FLIGHT: Final = "ondeck_calls_in_flight"
HTTP2_REFUSALS: Final = "ondeck_http2_refusals_total"
WORKER_EXITS: Final = "ondeck_worker_exits_total"
START_FAILURES: Final = "ondeck_worker_start_failures_total"
WORKERS_DESIRED: Final = "ondeck_workers_desired"
NAMES: Final = (
    *(HANDLED, CALL_SECONDS, ROWS, QUEUE_SECONDS, IN_FLIGHT),
    *(HTTP2_REFUSALS, WORKER_EXITS, START_FAILURES, WORKERS_DESIRED),
)

_PREFIXES: Final = tuple(f"{name}{after}".encode() for name in NAMES for after in "{ ")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MAX_SERIES: Final = 10_000
_HEALTH: Final = "grpc.health.v1.Health"
_UNARY: Final = "unary"


@dataclass(frozen=True, kw_only=True)
class ServerSample:
    """Counters since the start of the server at a moment (seconds since 1970).

    `handled` counts completed calls by method and status code; `latency` are the buckets of the unary calls of each
    method, in seconds; `queue` those of the time in the queue, of all versions. Health checks are left out. `rows`
    counts predicted instances by model and version. `in_flight` is None if the server does not export it.
    """

    at: float
    handled: Mapping[tuple[str, str], float]
    latency: Mapping[str, Buckets]
    queue: Buckets
    rows: Mapping[tuple[str, str], float]
    in_flight: float | None
    http2_refusals: Mapping[str, float]
    worker_exits: Mapping[str, float]
    start_failures: float
    workers_desired: float


def read_sample(page: bytes, at: float) -> ServerSample:
    """Read the metrics page, in the Prometheus text format."""
    series = _series(page)
    calls = [each for each in series[HANDLED] if each[0].get("grpc_service") != _HEALTH]
    seconds = [
        (labels, value)
        for labels, value in series[CALL_SECONDS]
        if labels.get("grpc_type") == _UNARY and labels.get("grpc_service") != _HEALTH
    ]
    flights = [value for labels, value in series[IN_FLIGHT] if labels.get("grpc_service") != _HEALTH]
    return ServerSample(
        at=at,
        handled={(_method(labels), labels.get("grpc_code", "")): value for labels, value in calls},
        latency=_buckets_by_method(seconds),
        queue=_sum_buckets(series[QUEUE_SECONDS]),
        rows={(labels.get("model", ""), labels.get("version", "")): value for labels, value in series[ROWS]},
        in_flight=sum(flights) if flights else None,
        http2_refusals={labels.get("reason", ""): value for labels, value in series[HTTP2_REFUSALS]},
        worker_exits={labels.get("reason", ""): value for labels, value in series[WORKER_EXITS]},
        start_failures=sum(value for _, value in series[START_FAILURES]),
        workers_desired=sum(value for _, value in series[WORKERS_DESIRED]),
    )


def _series(page: bytes) -> dict[str, Series]:
    found: dict[str, Series] = {name: [] for name in NAMES}
    for name, labels, value in _lines(page):
        found[name].append((labels, value))
    return found


def _lines(page: bytes) -> Iterator[tuple[str, Labels, float]]:
    """Yield name, labels and value of the lines that are used."""
    for line in page.splitlines():
        if line.startswith(_PREFIXES):
            series, _, value = line.rpartition(b" ")
            name, labels = _parse_series(series)
            yield name, labels, float(value)


@lru_cache(maxsize=_MAX_SERIES)
def _parse_series(series: bytes) -> tuple[str, Labels]:
    """Split name and labels; a page has the same series as the one before."""
    name, _, labels = series.decode().partition("{")
    return name, {label: _unescape(text) for label, text in _LABEL.findall(labels)}


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\") if "\\" in text else text


def _method(labels: Labels) -> str:
    """Return the method with the last part of its service, `PredictionService/Predict`."""
    return f"{labels.get('grpc_service', '').rpartition('.')[2]}/{labels.get('grpc_method', '')}"


def _buckets_by_method(series: Series) -> dict[str, Buckets]:
    by_method: defaultdict[str, Series] = defaultdict(list)
    for labels, value in series:
        by_method[_method(labels)].append((labels, value))
    return {method: _sum_buckets(lines) for method, lines in by_method.items()}


def _sum_buckets(series: Series) -> Buckets:
    """Add cumulative counts of several histograms, all of the same bounds."""
    sums: defaultdict[float, float] = defaultdict(float)
    for labels, value in series:
        sums[float(labels.get("le", "inf"))] += value
    return dict(sorted(sums.items()))
