"""Trends of the dashboard: five-minute points of samples, sums of longer intervals, and columns for a chart."""

import time
from math import inf

import pytest

from ondeck_server.dashboard.metric_samples import ServerSample
from ondeck_server.dashboard.sampler import Sampler
from ondeck_server.dashboard.trend_recorder import MAX_PENDING, TrendRecorder
from ondeck_server.dashboard.trends import SHORT_SECONDS, TrendPoint, merge, trend_columns, trend_point

METHOD = "PredictionService/Predict"


def sample(at: float, calls: float, *, errors: float = 0, slow: float = 0) -> ServerSample:
    """Return a sample after so many calls, of which `slow` took from 10 to 100 ms and the others up to 1 ms."""
    total = calls + errors
    return ServerSample(
        at=at,
        handled={(METHOD, "OK"): calls, (METHOD, "INTERNAL"): errors},
        latency={METHOD: {0.001: total - slow, 0.01: total - slow, 0.1: total, inf: total}},
        queue={0.001: total, inf: total},
        rows={("whiff", "1"): 2 * calls},
        in_flight=0,
        http2_refusals={},
        worker_exits={},
        start_failures=0,
        workers_desired=1,
    )


def point(began_at: int, calls: int, seconds: int = 300, latency: dict[str, int] | None = None) -> TrendPoint:
    return TrendPoint(
        began_at=began_at,
        seconds=seconds,
        calls=calls,
        server_errors=1,
        caller_errors=0,
        rows=calls,
        latency=latency if latency is not None else {"0.001": calls},
        queue={},
    )


def test_a_point_has_the_counts_between_two_samples_and_the_bounds_of_its_values() -> None:
    found = trend_point(sample(610, 100), sample(900, 300, errors=20, slow=40))
    assert (found.began_at, found.seconds, found.calls, found.server_errors, found.rows) == (600, 290, 220, 20, 400)
    assert found.latency == {"0.0": 0, "0.001": 180, "0.01": 0, "0.1": 40}


def test_longer_intervals_are_the_sums_of_their_points() -> None:
    merged = merge([point(0, 10), point(300, 20, latency={"0.1": 20}), point(3600, 5)], 3600)
    assert [(each.began_at, each.calls, each.seconds) for each in merged] == [(0, 30, 600), (3600, 5, 300)]
    assert merged[0].latency == {"0.001": 10, "0.1": 20}
    assert merged[0].server_errors == 2


def test_columns_have_rates_percentiles_and_a_gap_where_the_server_was_off() -> None:
    columns = trend_columns([point(0, 300), point(900, 600, latency={"0.01": 0, "0.1": 600})], 300)
    assert columns["at"] == [300, 301, 1200]
    assert columns["calls"] == [1, None, 2]
    assert columns["p50"] == [pytest.approx(0.0005), None, pytest.approx(0.055)]
    assert columns["queue_p95"] == [None, None, None]


def test_rates_are_those_of_the_covered_seconds_also_of_two_servers() -> None:
    points = [point(0, 300), point(300, 300), point(300, 300), point(7200, 30, seconds=30)]
    assert trend_columns(merge(points, 3600), 3600)["calls"] == [1.5, None, 1]


def test_nothing_has_empty_columns() -> None:
    assert set(map(len, trend_columns([], 300).values())) == {0}


def test_percentiles_of_a_merged_point_are_those_of_all_its_calls() -> None:
    parts = [trend_point(sample(at, 0), sample(at + 300, 90, slow=slow)) for at, slow in ((0, 0), (300, 90))]
    (whole,) = merge(parts, 3600)
    assert trend_columns([whole], 3600)["p99"] == [pytest.approx(0.0982, abs=0.001)]


def test_a_recorder_has_a_point_for_each_completed_interval_and_forgets_the_stored_ones() -> None:
    recorder = TrendRecorder()
    for at, calls in ((10, 1), (200, 5), (310, 9), (620, 20), (650, 22)):
        recorder.add(sample(at, calls))
    assert [(each.began_at, each.calls) for each in recorder.pending] == [(0, 8), (300, 11)]
    assert [(each.calls, each.seconds) for each in recorder.recent()] == [(8, 300), (11, 300), (2, 30)]
    recorder.forget(list(recorder.pending)[:1])
    assert [each.began_at for each in recorder.pending] == [300]


def test_a_recorder_that_cannot_store_keeps_a_day() -> None:
    recorder = TrendRecorder()
    for number in range(2 * MAX_PENDING):
        recorder.add(sample(number * SHORT_SECONDS, number))
    assert len(recorder.pending) == MAX_PENDING


def test_a_clock_that_is_set_back_begins_a_new_interval() -> None:
    recorder = TrendRecorder()
    for at, calls in ((7200, 100), (7210, 110), (3600, 120), (3610, 140)):
        recorder.add(sample(at, calls))
    assert [(each.began_at, each.seconds, each.calls) for each in recorder.recent()] == [(3600, 10, 20)]


async def test_samples_of_a_future_that_did_not_come_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1000.0, 1015.0, 400.0, 415.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    taken: list[float] = []
    sampler = Sampler(lambda: b"ondeck_workers_desired 2\n", lambda each: taken.append(each.at))
    for _ in range(4):
        sampler.take()
    assert taken == [1000.0, 1015.0, 400.0, 415.0]
    traffic = sampler.traffic()
    assert traffic is not None
    assert (traffic.at, traffic.points["at"]) == (415.0, [415.0])
