"""Trends: what a server did in intervals of five minutes, made of samples, added up to longer ones. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from ondeck_server.dashboard.metric_samples import Buckets, ServerSample
from ondeck_server.dashboard.traffic import PERCENTILES, add, interval, quantile, status_counts

SHORT_SECONDS: Final = 300
LONG_SECONDS: Final = 3600
STEPS: Final = {1: 300, 7: 3600, 30: 14_400, 90: 43_200}  # seconds of an interval by days shown
RATES: Final = ("calls", "server_errors", "caller_errors", "rows")
COLUMNS: Final = ("at", *RATES, *PERCENTILES, "queue_p95")


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """Counts of an interval that began at `began_at` (seconds since 1970), over the `seconds` of it that are covered.

    `latency` and `queue` count by upper bound, as text, in seconds; most bounds without a value are left out.
    """

    began_at: int
    seconds: int
    calls: int
    server_errors: int
    caller_errors: int
    rows: int
    latency: Mapping[str, int]
    queue: Mapping[str, int]


def trend_point(before: ServerSample, after: ServerSample) -> TrendPoint:
    """Return the point of the five minutes in which the first sample was taken, or of what has passed of them."""
    kinds = status_counts(before, after)
    rows = sum(max(count - before.rows.get(key, 0.0), 0.0) for key, count in after.rows.items())
    latency = interval(add(list(before.latency.values())), add(list(after.latency.values())))
    return TrendPoint(
        began_at=begin_of(before.at, SHORT_SECONDS),
        seconds=min(max(round(after.at - before.at), 1), SHORT_SECONDS),
        calls=round(sum(kinds.values())),
        server_errors=round(kinds["server"]),
        caller_errors=round(kinds["caller"]),
        rows=round(rows),
        latency=_counts(latency),
        queue=_counts(interval(before.queue, after.queue)),
    )


def begin_of(at: float, seconds: int) -> int:
    """Return the begin of the interval that contains a moment."""
    return int(at // seconds) * seconds


def merge(points: Iterable[TrendPoint], seconds: int) -> list[TrendPoint]:
    """Add the points of each longer interval, the oldest first; points of several servers cover the same seconds."""
    groups: defaultdict[int, list[TrendPoint]] = defaultdict(list)
    for point in points:
        groups[begin_of(point.began_at, seconds)].append(point)
    return [_sum(groups[began_at], began_at) for began_at in sorted(groups)]


def trend_columns(points: Sequence[TrendPoint], step: int) -> dict[str, list[float | None]]:
    """Return the columns of a chart: rates per second and percentiles, by the end of each interval of `step` seconds.

    An interval without a point between others has a row without values, so that a chart shows a gap.
    """
    columns: dict[str, list[float | None]] = {name: [] for name in COLUMNS}
    end = points[0].began_at if points else 0
    for point in points:
        if point.began_at > end:
            _append(columns, [float(end + 1), *[None] * (len(COLUMNS) - 1)])
        latency, queue = _buckets(point.latency), _buckets(point.queue)
        end = point.began_at + step
        rates = [getattr(point, name) / point.seconds for name in RATES]
        percentiles = [quantile(latency, part) for part in PERCENTILES.values()]
        _append(columns, [float(end), *rates, *percentiles, quantile(queue, PERCENTILES["p95"])])
    return columns


def _append(columns: dict[str, list[float | None]], row: Sequence[float | None]) -> None:
    for column, value in zip(columns.values(), row, strict=True):
        column.append(None if value is None else round(value, 6))


def _sum(points: Sequence[TrendPoint], began_at: int) -> TrendPoint:
    covered: dict[int, int] = {}
    latency, queue = Counter[str](), Counter[str]()
    for point in points:
        latency.update(point.latency)
        queue.update(point.queue)
        covered[point.began_at] = max(point.seconds, covered.get(point.began_at, 0))
    return TrendPoint(
        began_at=began_at,
        seconds=sum(covered.values()),
        latency=dict(latency),
        queue=dict(queue),
        **{name: sum(getattr(point, name) for point in points) for name in RATES},
    )


def _counts(cumulative: Buckets) -> dict[str, int]:
    """Return the values of each bucket by its bound, and 0 for the bound where a bucket with values begins."""
    counts: dict[str, int] = {}
    low, below = 0.0, 0.0
    for bound, count in sorted(cumulative.items()):
        if count > below:
            counts.setdefault(repr(low), 0)
            counts[repr(bound)] = round(count - below)
        low, below = bound, count
    return counts


def _buckets(counts: Mapping[str, int]) -> Buckets:
    cumulative, total = {}, 0.0
    for bound in sorted(map(float, counts)):
        total += counts[repr(bound)]
        cumulative[bound] = total
    return {**cumulative, inf: total} if total else {}
