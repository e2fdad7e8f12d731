"""Metrics of the supervisor itself, and the memory in which a worker writes its own."""

import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Final

import structlog

from ondeck_runtime.metrics import CounterFamily, GaugeFamily, create_memory, map_memory
from ondeck_runtime.metrics_page import MetricsPage

EXIT_REASONS: Final = ("retired", "died", "killed")

WORKERS: Final = GaugeFamily(
    "ondeck_workers",
    "workers by state: `starting`, `activating`, `listening`, `retiring`, and `silent` if heartbeats are late",
    ("state",),
)
DESIRED: Final = GaugeFamily("ondeck_workers_desired", "workers that should accept calls")
EXITS: Final = CounterFamily(
    "ondeck_worker_exits", "workers that exited: `retired`, `died`, or `killed` since they hung", ("reason",)
)
START_FAILURES: Final = CounterFamily(
    "ondeck_worker_start_failures", "workers that could not be started; the start is retried with growing pauses"
)
REFUSALS: Final = GaugeFamily(
    "ondeck_refusals", "versions that are rejected now, and models of which a part is set aside"
)

log = structlog.get_logger()


@contextmanager
def worker_memory() -> Iterator[tuple[mmap.mmap | None, tuple[int, ...]]]:
    """Create the memory of a worker's metrics, and the descriptors that the worker inherits within the block.

    Without memory the metrics of the worker are missing, and it serves.
    """
    memory, descriptor = None, -1
    try:
        descriptor = create_memory()
        memory = map_memory(descriptor)
    except OSError as failed:
        log.warning("metrics_memory_failed", detail="a new worker exports no metrics", reason=str(failed))
    try:
        yield memory, ((descriptor,) if memory is not None else ())
    finally:
        if descriptor >= 0:
            os.close(descriptor)


class PoolMetrics:
    """Metrics of the workers as processes; `states` counts them at each read of the page."""

    def __init__(self, page: MetricsPage, desired: int, states: Callable[[], Mapping[str, int]]) -> None:
        block = page.own
        self.exits = {reason: block.counter(EXITS, reason) for reason in EXIT_REASONS}
        self.start_failures = block.counter(START_FAILURES)
        block.gauge(DESIRED).set(desired)

        def refresh() -> None:
            for state, count in states().items():
                block.gauge(WORKERS, state).set(count)

        page.before_read(refresh)


def export_refusals(page: MetricsPage, refusals: Callable[[], Sized]) -> None:
    """Export how many versions, and parts of models, are refused at each read of the page."""
    gauge = page.own.gauge(REFUSALS)
    page.before_read(lambda: gauge.set(len(refusals())))
