"""Expressions of alert rules: literal values, what is refused, and the same values as promtool's."""

import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from ondeck_server.alerts.promql_evaluation import Value, as_vector, evaluate
from ondeck_server.alerts.promql_syntax import UnsupportedExpressionError, parse, ranges
from ondeck_server.alerts.sample_history import FULL_SECONDS, THINNED_SECONDS, Labels, MetricSample, SampleHistory

STEP: Final = 15.0
SERIES: Final[Mapping[str, Sequence[float]]] = {
    'calls{code="OK",method="a"}': [10.0 * number for number in range(41)],
    'calls{code="INTERNAL",method="a"}': [float(number) for number in range(41)],
    'calls{code="OK",method="b"}': [*(4.0 * number for number in range(30)), *(4.0 * number for number in range(11))],
    'up{job="server"}': [1.0] * 39 + [0.0, 0.0],
    'level{job="server"}': [float(number % 7) for number in range(41)],
}
NOW: Final = 40 * STEP
VALUES: Final[Mapping[str, Mapping[str, float]]] = {
    'rate(calls{code="OK",method="a"}[5m])': {'code="OK",method="a"': 10 / 15},
    'sum by (method) (rate(calls{code=~"INTERNAL|UNKNOWN"}[5m])) / sum by (method) (rate(calls[5m])) > 0.05': {
        'method="a"': 1 / 11
    },
    'up{job!="ingest"} == 0': {'job="server"': 0},
    "absent(missing)": {"": 1},
    "absent(up)": {},
    'absent(missing{job="server",code!="OK",method=~"a"})': {'job="server"': 1},
    'absent(sum(missing{job="server"}))': {"": 1},
    'calls{code="OK"} > on (method) calls{code="INTERNAL"}': {'method="a"': 400},
    'calls{code="OK"} > ignoring (code) calls{code="INTERNAL"}': {'method="a"': 400},
    "min_over_time(up[1m])": {'job="server"': 0},
    "max_over_time(level[2m])": {'job="server"': 6},
    "changes(up[5m])": {'job="server"': 1},
    'calls{method="a"} and on (code) calls{method="b"}': {'code="OK",method="a"': 400},
    'calls{code="OK"} unless on (method) calls{code="INTERNAL"}': {'code="OK",method="b"': 40},
    "1 - up": {'job="server"': 1},
    "-up + 2 > bool 3": {'job="server"': 0},
    "count(up == 1) or vector(0)": {"": 0},
    'calls{code!~"O.*"} offset 1m': {'code="INTERNAL",method="a"': 36},
    "sum without (code) (calls)": {'method="a"': 440, 'method="b"': 40},
    "avg(calls) + max(calls)": {"": 160 + 400},
    'calls{code="OK"} / on (method, code) calls{code="OK"}': {'code="OK",method="a"': 1, 'code="OK",method="b"': 1},
}


def labels_of(text: str) -> Labels:
    pairs = [each.partition("=") for each in text.split(",") if each]
    return frozenset((name, value.strip('"')) for name, _, value in pairs)


def history(retention: float = 3600.0) -> SampleHistory:
    made = SampleHistory({name.partition("{")[0]: retention for name in SERIES})
    for number in range(41):
        samples = [
            MetricSample(
                name=name.partition("{")[0], labels=labels_of(name.partition("{")[2][:-1]), value=values[number]
            )
            for name, values in SERIES.items()
        ]
        made.record(number * STEP, samples)
    return made


def value_of(expression: str) -> Value:
    return evaluate(parse(expression), history(), NOW)


@pytest.mark.parametrize("expression", VALUES)
def test_an_expression_has_this_value(expression: str) -> None:
    found = as_vector(value_of(expression))
    assert found == {labels_of(labels): pytest.approx(value, rel=1e-12) for labels, value in VALUES[expression].items()}


def test_a_counter_that_starts_again_keeps_growing() -> None:
    (increase,) = as_vector(value_of('increase(calls{method="b"}[10m])')).values()
    assert increase == pytest.approx((29 * 4 + 10 * 4) * (600 / (39 * 15)), rel=0.05)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_finds_the_same_values(tmp_path: Path) -> None:
    series = "\n".join(
        f"      - {{series: '{name}', values: '{' '.join(f'{value:g}' for value in values)}'}}"
        for name, values in SERIES.items()
    )
    more = ["rate(calls[7m10s])", "increase(calls[4m50s])", "delta(level[3m10s])", "sum(rate(calls[9m50s]))"]
    cases = "\n".join(_promtool_case(each) for each in (*VALUES, *more))
    file = tmp_path / "test.yml"
    file.write_text(
        f"tests:\n  - interval: 15s\n    input_series:\n{series}\n    promql_expr_test:\n{cases}\n", encoding="utf-8"
    )
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _promtool_case(expression: str) -> str:
    found = as_vector(value_of(expression))
    samples = "".join(
        f"\n          - {{labels: '{{{_written(labels)}}}', value: {round(value * 1e9)}}}"
        for labels, value in found.items()
    )
    quoted = f"round(({expression}) * 1e9)".replace("'", "''")  # the last bits differ
    return f"      - expr: '{quoted}'\n        eval_time: 10m\n        exp_samples: {samples or '[]'}"


def _written(labels: Labels) -> str:
    return ",".join(f'{name}="{value}"' for name, value in sorted(labels))


@pytest.mark.parametrize(
    "expression",
    [
        "histogram_quantile(0.9, calls)",
        "calls * on (method) group_left up",
        '{job="server"}',
        "calls[5m:1m]",
        "topk(1, calls)",
        "calls @ 10",
        "calls ^ 2",
        "sum(",
    ],
)
def test_what_is_not_evaluated_is_refused(expression: str) -> None:
    with pytest.raises(UnsupportedExpressionError, match=r"not supported|no PromQL"):
        parse(expression)


def test_a_series_that_is_gone_has_no_value_but_a_past() -> None:
    made = history()
    made.record(NOW + STEP, [MetricSample(name="calls", labels=labels_of('code="OK",method="a"'), value=410.0)])
    assert len(as_vector(evaluate(parse("calls"), made, NOW + STEP))) == 1
    assert len(as_vector(evaluate(parse("rate(calls[5m])"), made, NOW + STEP))) == 3


def test_a_scrape_is_a_value_for_five_minutes() -> None:
    assert as_vector(evaluate(parse("up"), history(), NOW + 300))
    assert not as_vector(evaluate(parse("up"), history(), NOW + 301))


def test_operators_of_two_numbers() -> None:
    assert value_of("1 / 0") == math.inf
    assert value_of("-1 / 0") == -math.inf
    assert value_of("2 * 3 > bool 5") == 1
    assert math.isnan(as_vector(value_of("0 / 0"))[frozenset()])


def test_the_history_of_days_is_bounded_and_keeps_its_rates() -> None:
    days, made = 4, SampleHistory({"calls": 3 * 86400.0})
    for number in range(int(days * 86400 / STEP)):
        made.record(number * STEP, [MetricSample(name="calls", labels=frozenset(), value=3.0 * number)])
    (series,) = made.series_of("calls").values()
    assert len(series.times) <= (FULL_SECONDS / STEP) + (3 * 86400 + 600) / THINNED_SECONDS + 30
    now = days * 86400 - STEP
    for window in ("5m", "1h", "6h", "1d", "3d"):
        (rate,) = as_vector(evaluate(parse(f"rate(calls[{window}])"), made, now)).values()
        assert rate == pytest.approx(3 / STEP, rel=1e-6), window


def test_the_seconds_that_an_expression_looks_back() -> None:
    assert dict(ranges(parse("rate(calls[6h]) / sum(up offset 1h)"))) == {"calls": 21600.0, "up": 3900.0}
