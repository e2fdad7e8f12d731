"""What happened between two samples of the metrics: rates, percentiles, tables of methods and statuses. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final, TypeAlias

from ondeck_server.dashboard.metric_samples import Buckets, ServerSample

Value: TypeAlias = str | float | None
Row: TypeAlias = dict[str, Value]

# The statuses that are errors of a server by OpenTelemetry's RPC conventions; others are due to the caller.
SERVER_ERRORS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, kw_only=True)
class TrafficPoint:
    """Rates per second and percentiles (seconds; None without a call) of an interval that ended at `at`."""

    at: float
    calls: float
    server_errors: float
    caller_errors: float
    rows: float
    p50: float | None
    p95: float | None
    p99: float | None
    queue_p50: float | None
    queue_p95: float | None
    in_flight: float | None


def status_kind(code: str) -> str:
    """Return `ok`, `server` for an error of the server, or `caller`."""
    if code == "OK":
        return "ok"
    return "server" if code in SERVER_ERRORS else "caller"


def quantile(buckets: Buckets, part: float) -> float | None:
    """Estimate the quantile of a histogram, linearly within a bucket as Prometheus does; None if it is empty.

    A quantile in the last bucket, without bound, is the largest bound.
    """
    total = buckets.get(inf, 0.0)
    if total <= 0:
        return None
    rank, low, below = part * total, 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank:
            return low if bound == inf else low + (bound - low) * (rank - below) / max(count - below, 1e-9)
        low, below = bound, count
    return low


def interval(before: Buckets, after: Buckets) -> Buckets:
    """Return the buckets of the values that came between two reads of a histogram.

    A bound that one of them lacks has there the count of the next lower bound.
    """
    bounds = sorted({*before, *after})
    then, now = _fill(before, bounds), _fill(after, bounds)
    return {bound: max(now[bound] - then[bound], 0.0) for bound in bounds}


def _fill(buckets: Buckets, bounds: Sequence[float]) -> dict[float, float]:
    filled, count = {}, 0.0
    for bound in bounds:
        count = buckets.get(bound, count)
        filled[bound] = count
    return filled


def add(histograms: Sequence[Buckets]) -> Buckets:
    """Add histograms, also of different bounds."""
    bounds = sorted({bound for each in histograms for bound in each})
    filled = [_fill(each, bounds) for each in histograms]
    return {bound: sum(each[bound] for each in filled) for bound in bounds}


def traffic_point(before: ServerSample, after: ServerSample) -> TrafficPoint:
    """Return the traffic between two samples."""
    seconds = max(after.at - before.at, 1e-3)
    kinds = status_counts(before, after)
    latency = interval(add(list(before.latency.values())), add(list(after.latency.values())))
    queue = interval(before.queue, after.queue)
    return TrafficPoint(
        at=after.at,
        calls=sum(kinds.values()) / seconds,
        server_errors=kinds["server"] / seconds,
        caller_errors=kinds["caller"] / seconds,
        rows=sum(_increase(before.rows, after.rows).values()) / seconds,
        **{name: quantile(latency, part) for name, part in PERCENTILES.items()},
        queue_p50=quantile(queue, PERCENTILES["p50"]),
        queue_p95=quantile(queue, PERCENTILES["p95"]),
        in_flight=after.in_flight,
    )


def status_counts(before: ServerSample, after: ServerSample) -> dict[str, float]:
    """Count the calls between two samples by the kind of their status."""
    kinds = dict.fromkeys(("ok", "server", "caller"), 0.0)
    for (_, code), count in _increase(before.handled, after.handled).items():
        kinds[status_kind(code)] += count
    return kinds


def traffic_points(samples: Sequence[ServerSample]) -> list[TrafficPoint]:
    """Return the traffic of each interval, the oldest first."""
    return [traffic_point(before, after) for before, after in pairwise(samples)]


def latency_bars(before: ServerSample, after: ServerSample) -> list[Row]:
    """Return the unary calls between two samples by duration: `from` and `to` in seconds (None: no bound), `calls`."""
    buckets = interval(add(list(before.latency.values())), add(list(after.latency.values())))
    bars: list[Row] = []
    low, below = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        bars.append({"from": low, "to": None if bound == inf else bound, "calls": count - below})
        low, below = bound, count
    return [bar for bar in bars if bar["calls"]]


def status_table(before: ServerSample, after: ServerSample) -> list[Row]:
    """Return a row for each status code: its kind, the calls since the start and those between the samples."""
    totals: dict[str, float] = {}
    recent: dict[str, float] = {}
    for (_, code), count in after.handled.items():
        totals[code] = totals.get(code, 0.0) + count
    for (_, code), count in _increase(before.handled, after.handled).items():
        recent[code] = recent.get(code, 0.0) + count
    rows: list[Row] = [
        {"code": code, "kind": status_kind(code), "calls": total, "recent": recent.get(code, 0.0)}
        for code, total in totals.items()
        if total
    ]
    return sorted(rows, key=lambda row: (row["kind"] != "server", row["kind"] == "ok", str(row["code"])))


def method_table(before: ServerSample, after: ServerSample) -> list[Row]:
    """Return a row for each called method, the most calls first; percentiles are of the interval, of unary calls."""
    seconds = max(after.at - before.at, 1e-3)
    recent = _by_method(_increase(before.handled, after.handled))
    rows: list[Row] = []
    for method, codes in _by_method(after.handled).items():
        latency = interval(before.latency.get(method, {}), after.latency.get(method, {}))
        rows.append(
            {
                "method": method,
                "calls": sum(codes.values()),
                "rate": sum(recent.get(method, {}).values()) / seconds,
                "server_errors": sum(count for code, count in codes.items() if status_kind(code) == "server"),
                "caller_errors": sum(count for code, count in codes.items() if status_kind(code) == "caller"),
                **{name: quantile(latency, part) for name, part in PERCENTILES.items()},
            }
        )
    called = [row for row in rows if row["calls"]]
    return sorted(called, key=lambda row: -float(row["calls"] or 0))


def _by_method(handled: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (method, code), count in handled.items():
        found.setdefault(method, {})[code] = count
    return found


def _increase(
    before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """Return by how much each counter grew; a counter that is smaller than before started again at 0."""
    grown = {key: count - before.get(key, 0.0) for key, count in after.items()}
    return {key: count if count >= 0 else after[key] for key, count in grown.items()}
