"""The Prometheus page of a program: the sums of the metrics blocks of its processes.

Counters and histograms of a process that exited stay in the sums; its gauges vanish.
"""

import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from math import fsum
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from ondeck_runtime.metrics import (
    ENTRY_WORDS,
    FREE,
    HEADER_WORDS,
    MAGIC,
    REMOVED,
    STATES,
    WORD_BYTES,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
    MetricFamily,
    MetricsBlock,
    value_count,
)

Labels: TypeAlias = tuple[str, ...]
Values: TypeAlias = tuple[float, ...]
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SeriesKey: TypeAlias = tuple[MetricFamily, Labels]
_COMBINE: Final[dict[str, Callable[[Iterable[float]], float]]] = {"sum": fsum, "max": max, "min": min}
_MAX_VALUE: Final = 2.0**200  # beyond it a value is damaged; sums of smaller ones are exact


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The values of one series of a process; `is_removed`: the process has removed it since the last read."""

    family: MetricFamily
    labels: Labels
    values: Values
    is_removed: bool = False


class BlockReader:
    """Reads the block of another process, which may write meanwhile, and may have been killed at any point."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._words = memoryview(memory).cast("q")
        self._families: dict[int, MetricFamily] = {}  # by the first word of the entry
        self._keys: dict[tuple[int, int], SeriesKey] = {}  # by that, and how often the entry was used

    def read(self) -> tuple[list[MetricFamily], list[Sample]]:
        """Return the declared families and the series; what is damaged is left out."""
        if self._words[0] != MAGIC:
            return [], []
        used = min(max(self._words[1], 0), len(self._words))
        copy = memoryview(self._memory[: used * WORD_BYTES])
        words, values = copy.cast("q"), copy.cast("d")
        entries = list(_entries(words))
        families = [found for at, _, count in entries if not count and (found := self._family(at, words, copy))]
        samples: list[Sample] = []
        for at, first, count in entries:
            state = words[at + 1]
            kind = state % STATES
            if not count or kind == FREE or self._words[at + 1] != state:  # it changes at this moment
                continue
            key = self._key(at, words, copy)
            if key is not None and value_count(key[0]) == count:
                seen = tuple(values[first : first + count])
                if all(-_MAX_VALUE < value < _MAX_VALUE for value in seen):  # none is NaN
                    samples.append(Sample(family=key[0], labels=key[1], values=seen, is_removed=kind == REMOVED))
            if kind == REMOVED:
                self._words[at + 1] = state - REMOVED + FREE  # its writer may use the entry again
        return families, samples

    def _family(self, at: int, words: "memoryview[int]", copy: "memoryview[int]") -> MetricFamily | None:
        if at not in self._families:
            found = _parse(at, words, copy)
            family = _family_of(found) if found is not None else None
            if family is not None:
                self._families[at] = family
        return self._families.get(at)

    def _key(self, at: int, words: "memoryview[int]", copy: "memoryview[int]") -> SeriesKey | None:
        key = at, words[at + 1] // STATES
        if key not in self._keys:
            match _parse(at, words, copy):
                case [int(family_at), list(labels)] if family_at in self._families:
                    self._keys[key] = self._families[family_at], tuple(map(str, labels))
        return self._keys.get(key)


def _parse(at: int, words: "memoryview[int]", copy: "memoryview[int]") -> list[object] | None:
    start = (at + ENTRY_WORDS) * WORD_BYTES
    try:
        found = json.loads(bytes(copy[start : start + words[at + 2]]))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _family_of(found: list[object]) -> MetricFamily | None:
    match found:
        case ["counter", str(name), str(text), list(labels)]:
            return CounterFamily(name, text, tuple(map(str, labels)))
        case ["gauge", str(name), str(text), list(labels), ("sum" | "max" | "min") as combine]:
            return GaugeFamily(name, text, tuple(map(str, labels)), combine)
        case ["histogram", str(name), str(text), list(labels), list(buckets)]:
            return HistogramFamily(name, text, tuple(map(str, labels)), tuple(map(float, buckets)))
    return None


def _entries(words: "memoryview[int]") -> Iterator[tuple[int, int, int]]:
    """Yield the first word of each entry, that of its values, and their number; ends at the first damaged entry."""
    at = HEADER_WORDS
    while at + ENTRY_WORDS <= len(words):
        size, key, count = words[at], words[at + 2], words[at + 3]
        first = at + ENTRY_WORDS + -(-key // WORD_BYTES)
        if key < 0 or count < 0 or first + count > at + size or at + size > len(words):
            return
        yield at, first, count
        at += size


class MetricsPage:
    """The metrics of a program: `own` are those of this process, others are added and, at their exit, folded."""

    def __init__(self, own: MetricsBlock) -> None:
        self.own = own
        self._own_reader = BlockReader(own.memory)
        self._before_read: list[Callable[[], None]] = []
        self._readers: dict[int, BlockReader] = {}
        self._folded: dict[SeriesKey, list[Values]] = {}  # rows whose sum is exact
        self._removed: set[SeriesKey] = set()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add(self, number: int, memory: mmap.mmap | None) -> None:
        """Add the block of a process, if it has one."""
        if memory is not None:
            self._readers[number] = BlockReader(memory)

    def before_read(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` before each read of the page, to set gauges of this process."""
        self._before_read.append(refresh)

    def fold(self, number: int) -> None:
        """Keep the counters and histograms of a process that exited, and drop its gauges."""
        reader = self._readers.pop(number, None)
        for sample in reader.read()[1] if reader else ():
            self._keep(sample)

    def text(self) -> bytes:
        """Return the page."""
        for refresh in self._before_read:
            refresh()
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of all processes."""
        families: dict[str, MetricFamily] = {}
        live: dict[SeriesKey, list[Values]] = {}
        for reader in (self._own_reader, *self._readers.values()):
            declared, samples = reader.read()
            families |= {family.name: family for family in declared}
            for sample in samples:
                if sample.is_removed:
                    self._keep(sample)
                    self._removed.add((sample.family, sample.labels))
                else:
                    live.setdefault((sample.family, sample.labels), []).append(sample.values)
        self._forget_removed(live)
        for key, rows in self._folded.items():
            families.setdefault(key[0].name, key[0])
            live.setdefault(key, []).extend(rows)
        yield from _metrics(families, {key: _combined(key[0], rows) for key, rows in live.items()})

    def _keep(self, sample: Sample) -> None:
        if not isinstance(sample.family, GaugeFamily):
            key = sample.family, sample.labels
            self._folded[key] = _exact([*self._folded.get(key, ()), sample.values])

    def _forget_removed(self, live: dict[SeriesKey, list[Values]]) -> None:
        """Drop the sums of series that every process has removed."""
        for key in self._removed - live.keys():
            self._folded.pop(key, None)
            self._removed.discard(key)


def _combined(family: MetricFamily, rows: list[Values]) -> Values:
    """Combine the values of several processes.

    A sum is rounded once: it would fall by the last digit where the order of its terms changes, as at the exit of a
    process, and Prometheus reads that as a restart from 0.
    """
    combine = _COMBINE[family.combine if isinstance(family, GaugeFamily) else "sum"]
    return rows[0] if len(rows) == 1 else tuple(combine(column) for column in zip(*rows, strict=True))


def _exact(rows: list[Values]) -> list[Values]:
    """Return the fewest rows with the same exact sum."""
    columns = [_partials(column) for column in zip(*rows, strict=True)]
    return list(zip_longest(*columns, fillvalue=0.0))


def _partials(values: Iterable[float]) -> list[float]:
    """Return floats whose exact sum is that of the values: Shewchuk's algorithm, as in `math.fsum`."""
    partials: list[float] = []
    for value in values:
        total, kept = value, 0
        for each in partials:
            large, small = (total, each) if abs(total) >= abs(each) else (each, total)
            total = large + small
            if rest := small - (total - large):
                partials[kept] = rest
                kept += 1
        partials[kept:] = [total]
    return partials


def _metrics(families: dict[str, MetricFamily], sums: dict[SeriesKey, Values]) -> Iterator[Metric]:
    by_name: dict[str, list[tuple[Labels, Values]]] = {name: [] for name in families}
    for (family, labels), values in sums.items():
        if families[family.name] == family:  # not one of another release, with other labels
            by_name[family.name].append((labels, values))
    for name, series in sorted(by_name.items()):
        yield _metric(families[name], sorted(series))


def _metric(family: MetricFamily, series: list[tuple[Labels, Values]]) -> Metric:
    match family:
        case CounterFamily():
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for labels, values in series:
                counter.add_metric(labels, values[0])
            return counter
        case GaugeFamily():
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for labels, values in series:
                gauge.add_metric(labels, values[0])
            return gauge
        case HistogramFamily():
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for labels, values in series:
                histogram.add_metric(labels, _cumulative(family, values), values[0])
            return histogram


def _cumulative(family: HistogramFamily, values: Values) -> list[tuple[str, float]]:
    buckets, total = [], 0.0
    for bound, count in zip((*family.buckets, float("inf")), values[1:], strict=True):
        total += count
        buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]  # it has no types
    return buckets
