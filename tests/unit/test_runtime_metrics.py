"""Metrics in shared memory: what a process counts is read by another, also after it was killed at any point."""

import mmap
import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ondeck_runtime.metrics import (
    SECONDS_BUCKETS,
    WORD_BYTES,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
    MetricsBlock,
    create_memory,
    inherited_block,
    map_memory,
)
from ondeck_runtime.metrics_page import MetricsPage

SEEN = CounterFamily("seen", "Things seen.", ("kind",))
DEPTH = GaugeFamily("depth", "Sum of the depths.")
AGE = GaugeFamily("age", "Largest age.", combine="max")
IS_READY = GaugeFamily("is_ready", "1 if all are.", combine="min")
SECONDS = HistogramFamily("run_seconds", "Seconds.", ("kind",), (0.1, 1.0))
SMALL = 1 << 12


def values(page: MetricsPage) -> dict[str, float]:
    """Return the values of the page by name and labels, as a Prometheus server parses them."""
    families = text_string_to_metric_families(page.text().decode())
    return {
        f"{sample.name}{{{','.join((value for _, value in sorted(sample.labels.items())))}}}": sample.value
        for family in families
        for sample in family.samples
    }


def block_of(size: int) -> MetricsBlock:
    return MetricsBlock(mmap.mmap(-1, size))


@pytest.fixture
def page() -> MetricsPage:
    return MetricsPage(MetricsBlock())


def add(page: MetricsPage, number: int, size: int = SMALL) -> MetricsBlock:
    block = block_of(size)
    page.add(number, block.memory)
    return block


def test_the_page_shows_each_kind_of_metric(page: MetricsPage) -> None:
    page.own.counter(SEEN, "a").inc()
    page.own.counter(SEEN, "a").inc(2)
    page.own.gauge(DEPTH).set(5)
    for value in (0.1, 0.5, 7.0):
        page.own.histogram(SECONDS, "a").observe(value)
    assert values(page) == {
        "seen_total{a}": 3,
        "depth{}": 5,
        "run_seconds_bucket{a,0.1}": 1,
        "run_seconds_bucket{a,1.0}": 2,
        "run_seconds_bucket{a,+Inf}": 3,
        "run_seconds_count{a}": 3,
        "run_seconds_sum{a}": 7.6,
    }


def test_a_declared_family_is_named_before_it_has_a_series(page: MetricsPage) -> None:
    page.own.declare(SEEN)
    assert "# TYPE seen_total counter" in page.text().decode()


def test_processes_are_combined_as_each_family_states(page: MetricsPage) -> None:
    for number, value in ((1, 3.0), (2, 4.0)):
        block = add(page, number)
        block.counter(SEEN, "a").inc(value)
        for family in (DEPTH, AGE, IS_READY):
            block.gauge(family).set(value)
    assert values(page) == {"seen_total{a}": 7, "depth{}": 7, "age{}": 4, "is_ready{}": 3}


def test_of_a_process_that_exited_counters_and_histograms_stay_and_gauges_vanish(page: MetricsPage) -> None:
    for number in (1, 2):
        block = add(page, number)
        block.counter(SEEN, "a").inc(number)
        block.gauge(DEPTH).set(number)
        block.histogram(SECONDS, "a").observe(number)
    before = values(page)
    page.fold(1)
    assert values(page) == {**before, "depth{}": 2}
    page.fold(2)
    assert values(page) == {name: value for name, value in before.items() if name != "depth{}"}


def test_a_sum_does_not_fall_by_rounding_when_a_process_exits(page: MetricsPage) -> None:
    draw = random.Random(5)  # noqa: S311  no secret
    alive = dict.fromkeys(range(40))
    for number in alive:
        add(page, number).counter(SEEN, "a").inc(draw.random() * 10 ** draw.randint(-6, 6))
    expected = values(page)
    for number in draw.sample(sorted(alive), len(alive)):
        page.fold(number)
        assert values(page) == expected


def test_a_removed_series_vanishes_once_every_process_has_removed_it(page: MetricsPage) -> None:
    first, second, exited = (add(page, number) for number in (1, 2, 3))
    for block in (first, second, exited):
        block.counter(SEEN, "old").inc()
        block.counter(SEEN, "new").inc()
    page.fold(3)
    first.remove([SEEN], "old")
    assert values(page) == {"seen_total{old}": 3, "seen_total{new}": 3}
    second.remove([SEEN], "old")
    assert values(page) == {"seen_total{new}": 3}


def test_memory_of_removed_series_is_used_again(page: MetricsPage) -> None:
    block = add(page, 1)
    for turn in range(1000):
        label = f"{turn:04d}"
        block.counter(SEEN, label).inc()
        assert values(page) == {f"seen_total{{{label}}}": 1}
        block.remove([SEEN], label)


def test_memory_of_removed_series_is_used_again_without_a_read_of_the_page(page: MetricsPage) -> None:
    block = add(page, 1)
    for turn in range(1000):
        block.counter(SEEN, f"{turn:04d}").inc()
        block.remove([SEEN], f"{turn:04d}")
    block.counter(SEEN, "last").inc()
    assert values(page)["seen_total{last}"] == 1


def test_a_removed_handle_writes_nowhere(page: MetricsPage) -> None:
    block = add(page, 1)
    removed = block.counter(SEEN, "0")
    block.remove([SEEN], "0")
    values(page)
    block.counter(SEEN, "1").inc()
    removed.inc(1000)
    assert values(page) == {"seen_total{1}": 1}


def test_a_full_block_loses_new_series_only(page: MetricsPage) -> None:
    block = add(page, 1)
    for number in range(1000):
        block.counter(SEEN, str(number)).inc()
        block.histogram(SECONDS, str(number)).observe(1.0)
    block.counter(SEEN, "0").inc()
    seen = values(page)
    assert seen["seen_total{0}"] == 2
    assert 10 < len([name for name in seen if name.startswith("seen_total")]) < 1000


@pytest.mark.parametrize("position", range(0, 600, WORD_BYTES))
@pytest.mark.parametrize("word", [-1, 0, 7, 1 << 40, (1 << 63) - 1])
def test_a_damaged_block_costs_its_own_series_only(page: MetricsPage, position: int, word: int) -> None:
    page.own.counter(SEEN, "own").inc()
    block = add(page, 1)
    block.counter(SEEN, "a").inc()
    block.histogram(SECONDS, "a").observe(0.5)
    block.memory[position : position + WORD_BYTES] = word.to_bytes(WORD_BYTES, sys.byteorder, signed=True)
    assert values(page)["seen_total{own}"] == 1


def test_the_wrong_number_of_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="seen has the labels"):
        block_of(SMALL).counter(SEEN)


def test_without_the_memory_of_its_parent_a_process_counts_in_its_own() -> None:
    block = inherited_block(987654)
    block.counter(SEEN, "a").inc()
    assert values(MetricsPage(block)) == {"seen_total{a}": 1}


def test_no_process_can_shrink_the_memory() -> None:
    descriptor = create_memory()
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 8)
    os.close(descriptor)


def test_a_process_killed_while_it_counts_loses_nothing_that_it_had_counted(page: MetricsPage) -> None:
    script = textwrap.dedent("""
        import sys
        from ondeck_runtime.metrics import CounterFamily, inherited_block
        block, seen = inherited_block(int(sys.argv[1])), CounterFamily("seen", "Things seen.", ("kind",))
        for number in range(1_000_000):
            block.counter(seen, str(number % 1000)).inc()
            if number % 1000 == 0:
                print(number, flush=True)
    """)
    descriptor = create_memory()
    page.add(1, map_memory(descriptor))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(descriptor)], stdout=subprocess.PIPE, pass_fds=[descriptor], text=True
    ) as process:
        os.close(descriptor)
        assert process.stdout is not None
        printed = [int(process.stdout.readline()) for _ in range(20)]
        between = sum(values(page).values())
        process.send_signal(signal.SIGKILL)
        printed += [int(line) for line in process.stdout.read().splitlines()]
    page.fold(1)
    assert printed[19] < between <= sum(values(page).values())
    assert printed[-1] < sum(values(page).values()) <= printed[-1] + 2000


def test_the_buckets_of_seconds_are_those_of_grpc() -> None:
    assert SECONDS_BUCKETS[:7] == (0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001)
    assert SECONDS_BUCKETS[-1] == 100
    assert list(SECONDS_BUCKETS) == sorted(SECONDS_BUCKETS)
