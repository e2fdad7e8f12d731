"""Metrics of one process, in a block of shared memory: a parent reads the block, also after the process was killed.

The block is anonymous memory: nothing is on disk, and no exit of its writer loses a value. One thread writes. Values
are 64-bit words that are written whole. A full or missing block costs new series, never a caller.
"""

import fcntl
import json
import mmap
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

BLOCK_BYTES: Final = 4 << 20  # only pages that are written take memory
WORD_BYTES: Final = 8
MAGIC: Final = 0x31_4B434F4C42_444F  # marks the layout of this module
HEADER_WORDS: Final = 2  # magic, words in use
ENTRY_WORDS: Final = 4  # words of the entry, state, bytes of the key, number of values
STATES: Final = 4  # a state word is STATES * (how often the entry was used) + one of the following
FREE, LIVE, REMOVED = range(3)
_DESCRIPTOR_NAME: Final = "ondeck-metrics"

# gRFC A66; the buckets that most libraries use begin at 5 ms, by when a call here has long ended.
# fmt: off
SECONDS_BUCKETS: Final = (
    0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.013,
    0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 2.0,
    5.0, 10.0, 20.0, 50.0, 100.0,
)
# fmt: on
SLOW_SECONDS_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

Combine: TypeAlias = Literal["sum", "max", "min"]  # of the gauges of several processes
Slots: TypeAlias = "memoryview[float]"


@dataclass(frozen=True)
class CounterFamily:
    """A counter as declared; the page adds `_total` to its name."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class GaugeFamily:
    """A gauge as declared, and how the values of several processes become one."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    combine: Combine = "sum"


@dataclass(frozen=True)
class HistogramFamily:
    """A histogram as declared, with the upper bounds of its buckets."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS_BUCKETS


MetricFamily: TypeAlias = CounterFamily | GaugeFamily | HistogramFamily


class Counter:
    """One series of a counter: the value `slots[at]`, which frequent code may add to itself, without a call."""

    __slots__ = ("at", "slots")

    def __init__(self, slots: Slots, at: int, _: MetricFamily) -> None:
        self.slots, self.at = slots, at

    def inc(self, by: float = 1.0) -> None:
        """Add to the counter."""
        self.slots[self.at] += by

    def detach(self) -> None:
        """Write no more to the block."""
        self.slots, self.at = _private_slots(1), 0


class Gauge:
    """One series of a gauge."""

    __slots__ = ("at", "slots")

    def __init__(self, slots: Slots, at: int, _: MetricFamily) -> None:
        self.slots, self.at = slots, at

    def set(self, value: float) -> None:
        """Set the gauge."""
        self.slots[self.at] = value

    def inc(self, by: float = 1.0) -> None:
        """Add to the gauge; a negative value subtracts."""
        self.slots[self.at] += by

    def detach(self) -> None:
        """Write no more to the block."""
        self.slots, self.at = _private_slots(1), 0


class Histogram:
    """One series of a histogram: the sum, then the number of values in each bucket; the last has no bound."""

    __slots__ = ("at", "bounds", "slots")

    def __init__(self, slots: Slots, at: int, family: MetricFamily) -> None:
        self.slots, self.at = slots, at
        self.bounds = family.buckets if isinstance(family, HistogramFamily) else ()

    def observe(self, value: float) -> None:
        """Count a value."""
        slots, at = self.slots, self.at
        slots[at] += value
        slots[at + 1 + bisect_left(self.bounds, value)] += 1.0

    def detach(self) -> None:
        """Write no more to the block."""
        self.slots, self.at = _private_slots(2 + len(self.bounds)), 0


Series: TypeAlias = Counter | Gauge | Histogram
AnySeries = TypeVar("AnySeries", Counter, Gauge, Histogram)


def value_count(family: MetricFamily) -> int:
    """Return how many values a series of the family has."""
    return 2 + len(family.buckets) if isinstance(family, HistogramFamily) else 1


def create_memory(size: int = BLOCK_BYTES) -> int:
    """Return the descriptor of new shared memory for one block, which no process can shrink.

    Raises:
        OSError: the system has no descriptor or no memory for it.
    """
    descriptor = os.memfd_create(_DESCRIPTOR_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def map_memory(descriptor: int) -> mmap.mmap:
    """Map the memory of a descriptor, which the caller may close.

    Raises:
        OSError: the descriptor is not open, or its memory cannot be mapped.
        ValueError: it has no memory.
    """
    return mmap.mmap(descriptor, 0)


class MetricsBlock:
    """Creates the series of a process; without `memory` they are private to it.

    A series that was created once is returned again. In a full block a new one is written to private memory.
    """

    def __init__(self, memory: mmap.mmap | None = None) -> None:
        memory = mmap.mmap(-1, BLOCK_BYTES) if memory is None else memory
        self.memory: Final = memory
        self._words = memoryview(memory).cast("q")
        self._slots: Slots = memoryview(memory).cast("d")
        self._words[1] = HEADER_WORDS
        self._words[0] = MAGIC
        self._families: dict[str, int] = {}
        self._series: dict[tuple[str, tuple[str, ...]], tuple[Series, int]] = {}
        self._removed: list[int] = []

    def declare(self, *families: MetricFamily) -> None:
        """Let the page name families that have no series yet."""
        for family in families:
            self._family_at(family)

    def counter(self, family: CounterFamily, *labels: str) -> Counter:
        """Return the series of a counter with these values of its labels."""
        return self._of(Counter, family, labels)

    def gauge(self, family: GaugeFamily, *labels: str) -> Gauge:
        """Return the series of a gauge with these values of its labels."""
        return self._of(Gauge, family, labels)

    def histogram(self, family: HistogramFamily, *labels: str) -> Histogram:
        """Return the series of a histogram with these values of its labels."""
        return self._of(Histogram, family, labels)

    def remove(self, families: Iterable[MetricFamily], *first_labels: str) -> None:
        """Remove the series of these families whose labels begin with these values."""
        names, count = {family.name for family in families}, len(first_labels)
        for key, (series, at) in list(self._series.items()):
            if key[0] in names and key[1][:count] == first_labels:
                del self._series[key]
                series.detach()
                if at:
                    self._words[at + 1] += REMOVED - LIVE
                    self._removed.append(at)

    def _of(self, kind: type[AnySeries], family: MetricFamily, labels: tuple[str, ...]) -> AnySeries:
        key = (family.name, labels)
        known = self._series.get(key)
        if known is not None and isinstance(known[0], kind):
            return known[0]
        if len(labels) != len(family.labels):
            raise ValueError(f"{family.name} has the labels {family.labels}, got {labels}")
        count, family_at = value_count(family), self._family_at(family)
        at = self._append([family_at, labels], count) if family_at else 0
        slots, first = (self._slots, _first_value(self._words, at)) if at else (_private_slots(count), 0)
        series = kind(slots, first, family)
        self._series[key] = series, at
        return series

    def _family_at(self, family: MetricFamily) -> int:
        at = self._families.get(family.name)
        if at is None:
            at = self._families[family.name] = self._append(_declaration(family), 0)
        return at

    def _append(self, key: object, count: int) -> int:
        """Write an entry with values of 0 and return its first word; 0: the block is full."""
        text = json.dumps(key, separators=(",", ":")).encode()
        size = ENTRY_WORDS + _words_of(len(text)) + count
        at = self._reusable(size)
        if at:
            size = self._words[at]
        else:
            at = self._words[1]
            if at + size > len(self._words):
                at = self._reusable(size, also_unread=True)
                if not at:
                    return 0
                size = self._words[at]
        return self._write(at, size, text, count)

    def _write(self, at: int, size: int, text: bytes, count: int) -> int:
        words, start = self._words, (at + ENTRY_WORDS) * WORD_BYTES
        uses = words[at + 1] // STATES + 1
        words[at + 1] = STATES * uses + FREE
        self.memory[start : start + len(text)] = text
        words[at], words[at + 2], words[at + 3] = size, len(text), count
        first = _first_value(words, at)
        self._slots[first : first + count] = _private_slots(count)
        words[at + 1] = STATES * uses + LIVE
        words[1] = max(words[1], at + size)
        return at

    def _reusable(self, size: int, *, also_unread: bool = False) -> int:
        """Return a removed entry of at least `size` words that the reader has seen, or any; 0: there is none."""
        for at in self._removed:
            if self._words[at] >= size and (also_unread or self._words[at + 1] % STATES == FREE):
                self._removed.remove(at)
                return at
        return 0


def inherited_block(descriptor: int) -> MetricsBlock:
    """Return a block in the memory of a descriptor, which is closed; one of private memory if it cannot be mapped."""
    with suppress(OSError, ValueError):
        memory = map_memory(descriptor)
        os.close(descriptor)
        return MetricsBlock(memory)
    return MetricsBlock()


def _declaration(family: MetricFamily) -> list[object]:
    match family:
        case CounterFamily():
            return ["counter", family.name, family.help, family.labels]
        case GaugeFamily():
            return ["gauge", family.name, family.help, family.labels, family.combine]
        case HistogramFamily():
            return ["histogram", family.name, family.help, family.labels, family.buckets]


def _words_of(size: int) -> int:
    return -(-size // WORD_BYTES)


def _first_value(words: "memoryview[int]", at: int) -> int:
    return at + ENTRY_WORDS + _words_of(words[at + 2])


def _private_slots(count: int) -> Slots:
    return memoryview(array("d", bytes(WORD_BYTES * count)))
