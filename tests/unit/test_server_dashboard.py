"""Values of the dashboard: samples of the metrics page, rates and percentiles, the state of versions."""

from math import inf

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ondeck_server.dashboard.metric_samples import ServerSample, read_sample
from ondeck_server.dashboard.server_state import LOADED, LOADING, REFUSED, SET_ASIDE, VersionRow, version_rows
from ondeck_server.dashboard.traffic import (
    add,
    interval,
    latency_bars,
    method_table,
    quantile,
    status_kind,
    status_table,
    traffic_points,
)
from ondeck_server.ipc.messages import WorkerStatus

CALL = ("unary", "ondeck.v1.PredictionService", "Predict")


class Page:
    """A metrics page with the metrics that the dashboard reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("grpc_type", "grpc_service", "grpc_method")
        self.handled = Counter("grpc_server_handled", "x", (*labels, "grpc_code"), registry=self.registry)
        self.seconds = Histogram(
            "grpc_server_handling_seconds", "x", labels, registry=self.registry, buckets=(0.001, 0.01, 0.1)
        )
        self.rows = Counter("ondeck_predicted_rows", "x", ("model", "version"), registry=self.registry)

    def call(self, code: str, seconds: float, call: tuple[str, str, str] = CALL) -> None:
        self.handled.labels(*call, code).inc()
        self.seconds.labels(*call).observe(seconds)

    def sample(self, at: float) -> ServerSample:
        return read_sample(generate_latest(self.registry), at)


def test_a_sample_has_calls_by_method_and_status_and_rows_by_version() -> None:
    page = Page()
    page.call("OK", 0.005)
    page.call("NOT_FOUND", 0.005)
    page.rows.labels("whiff", "1").inc(7)
    sample = page.sample(12.5)
    assert sample.at == 12.5
    assert sample.handled == {("PredictionService/Predict", "OK"): 1.0, ("PredictionService/Predict", "NOT_FOUND"): 1.0}
    assert sample.latency == {"PredictionService/Predict": {0.001: 0.0, 0.01: 2.0, 0.1: 2.0, inf: 2.0}}
    assert sample.rows == {("whiff", "1"): 7.0}


def test_health_checks_and_streams_are_no_latency_of_calls() -> None:
    page = Page()
    page.call("OK", 0.0001, ("unary", "grpc.health.v1.Health", "Check"))
    page.call("OK", 90.0, ("bidi_stream", "ondeck.v1.PredictionService", "StreamPredict"))
    sample = page.sample(1)
    assert sample.latency == {}
    assert sample.handled == {("PredictionService/StreamPredict", "OK"): 1.0}


def test_metrics_that_a_page_lacks_are_zero_or_none() -> None:
    sample = read_sample(b"# HELP x y\nx_total 3.0\n", 1)
    assert (sample.handled, sample.queue, sample.in_flight, sample.start_failures) == ({}, {}, None, 0)


def test_a_label_with_quotes_and_backslashes_is_read() -> None:
    registry = CollectorRegistry()
    Gauge("ondeck_workers_desired", "x", registry=registry).set(3)
    Counter("ondeck_predicted_rows", "x", ("model", "version"), registry=registry).labels('a"b\\c{,}', "1").inc()
    sample = read_sample(generate_latest(registry), 1)
    assert sample.workers_desired == 3
    assert sample.rows == {('a"b\\c{,}', "1"): 1.0}


@pytest.mark.parametrize(
    ("part", "expected"),
    [(0.25, 0.005), (0.5, 0.01), (0.75, 0.06), (1.0, 0.11)],
)
def test_a_quantile_is_linear_within_its_bucket(part: float, expected: float) -> None:
    assert quantile({0.01: 2.0, 0.11: 4.0, inf: 4.0}, part) == pytest.approx(expected)


def test_a_quantile_without_bound_is_the_largest_bound_and_of_nothing_none() -> None:
    assert quantile({0.01: 1.0, inf: 4.0}, 0.9) == 0.01
    assert quantile({0.01: 0.0, inf: 0.0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_histograms_of_different_bounds_are_added_and_subtracted() -> None:
    assert add([{1.0: 1.0, inf: 2.0}, {2.0: 3.0, inf: 3.0}]) == {1.0: 1.0, 2.0: 4.0, inf: 5.0}
    assert interval({}, {1.0: 1.0, inf: 2.0}) == {1.0: 1.0, inf: 2.0}
    assert interval({1.0: 1.0, inf: 2.0}, {1.0: 4.0, inf: 6.0}) == {1.0: 3.0, inf: 4.0}


@pytest.mark.parametrize(("code", "kind"), [("OK", "ok"), ("INTERNAL", "server"), ("NOT_FOUND", "caller")])
def test_the_kind_of_a_status(code: str, kind: str) -> None:
    assert status_kind(code) == kind


def test_a_point_has_rates_and_percentiles_of_its_interval_only() -> None:
    page = Page()
    for _ in range(100):
        page.call("OK", 0.09)
    samples = [page.sample(10)]
    for code in ("OK", "OK", "INTERNAL", "NOT_FOUND"):
        page.call(code, 0.005)
    page.rows.labels("whiff", "1").inc(8)
    samples.append(page.sample(12))
    (point,) = traffic_points(samples)
    assert (point.at, point.calls, point.server_errors, point.caller_errors, point.rows) == (12, 2, 0.5, 0.5, 4)
    assert point.p50 == pytest.approx(0.0055)
    assert (point.queue_p50, point.in_flight) == (None, None)


def test_a_point_without_calls_has_no_percentiles() -> None:
    page = Page()
    page.call("OK", 0.09)
    (point,) = traffic_points([page.sample(1), page.sample(2)])
    assert (point.calls, point.p99) == (0, None)


def test_a_counter_that_began_again_counts_from_zero() -> None:
    before, after = Page(), Page()
    for _ in range(9):
        before.call("OK", 0.005)
    after.call("OK", 0.005)
    (point,) = traffic_points([before.sample(1), after.sample(2)])
    assert point.calls == 1


def test_bars_and_tables_have_the_calls_between_two_samples() -> None:
    page = Page()
    page.call("OK", 0.0005)
    first = page.sample(0)
    page.call("OK", 0.005)
    page.call("OK", 7)
    page.call("INTERNAL", 0.005)
    last = page.sample(10)
    assert latency_bars(first, last) == [
        {"from": 0.001, "to": 0.01, "calls": 2.0},
        {"from": 0.1, "to": None, "calls": 1.0},
    ]
    assert status_table(first, last) == [
        {"code": "INTERNAL", "kind": "server", "calls": 1.0, "recent": 1.0},
        {"code": "OK", "kind": "ok", "calls": 3.0, "recent": 2.0},
    ]
    (row,) = method_table(first, last)
    assert (row["method"], row["calls"], row["rate"]) == ("PredictionService/Predict", 4.0, 0.3)
    assert (row["server_errors"], row["caller_errors"]) == (1.0, 0)


def status(
    loaded: tuple[str, ...],
    refused: dict[str, str] | None = None,
    desired: dict[str, dict[str, int]] | None = None,
    applied: dict[str, dict[str, int]] | None = None,
) -> WorkerStatus:
    return WorkerStatus(
        ready=True,
        listening=True,
        serving={},
        missing=(),
        loaded=loaded,
        refused=refused or {},
        desired=desired or {},
        applied=applied or {},
    )


def test_versions_are_listed_by_model_the_newest_first() -> None:
    aliases = {"whiff": {"production": 1}}
    both = status(("whiff 2", "whiff 1", "batted_ball 10"), desired=aliases, applied=aliases)
    rows = version_rows([both, both])
    assert [(row.model, row.version, row.aliases) for row in rows] == [
        ("batted_ball", 10, ()),
        ("whiff", 2, ()),
        ("whiff", 1, ("production",)),
    ]
    assert {(row.state, row.loaded_in, row.workers) for row in rows} == {(LOADED, 2, 2)}


def test_a_version_that_one_worker_has_not_loaded_is_loading_and_its_alias_pending() -> None:
    desired = {"whiff": {"production": 2}}
    rows = version_rows(
        [
            status(("whiff 1", "whiff 2"), desired=desired, applied=desired),
            status(("whiff 1",), desired=desired, applied={"whiff": {"production": 1}}),
        ]
    )
    assert rows[0] == VersionRow(
        model="whiff", version=2, state=LOADING, loaded_in=1, workers=2, pending_aliases=("production",)
    )
    assert rows[1].aliases == ()


def test_a_refused_version_has_its_reason_and_a_model_may_be_set_aside() -> None:
    rows = version_rows([status((), refused={"whiff 3": "no graph", "vote": "aliases.json is no JSON"})])
    assert [(row.model, row.version, row.state, row.reason) for row in rows] == [
        ("vote", None, SET_ASIDE, "aliases.json is no JSON"),
        ("whiff", 3, REFUSED, "no graph"),
    ]


def test_no_worker_has_no_versions() -> None:
    assert version_rows([]) == []
