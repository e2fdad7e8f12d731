"""Metrics of a training run, written as a file for the textfile collector of Prometheus' node_exporter.

A run ends before a Prometheus server could read it, and a push gateway is one more server to operate.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from ondeck_runtime.metrics import Gauge, GaugeFamily, MetricsBlock
from ondeck_runtime.metrics_page import MetricsPage

_LABELS: Final = ("task",)
SECONDS: Final = GaugeFamily("ondeck_train_duration_seconds", "duration of the last training run", _LABELS)
ROWS: Final = GaugeFamily("ondeck_train_rows", "rows that the last training run read", _LABELS)
SUCCEEDED: Final = GaugeFamily("ondeck_train_succeeded", "1 if the last training run published, else 0", _LABELS)
ENDED_AT: Final = GaugeFamily(
    "ondeck_train_end_timestamp_seconds", "end of the last training run, in seconds since 1970", _LABELS
)

log = structlog.get_logger()


@contextmanager
def run_metrics(folder: Path | None, task: str) -> Iterator[Gauge]:
    """Measure a run within the block, which sets the yielded number of rows, and write `ondeck_train_<task>.prom`.

    Without a folder nothing is written; a folder that cannot be written is logged, and does not fail the run.
    """
    block, begin, is_success = MetricsBlock(), time.monotonic(), False
    try:
        yield block.gauge(ROWS, task)
        is_success = True
    finally:
        block.gauge(SECONDS, task).set(time.monotonic() - begin)
        block.gauge(SUCCEEDED, task).set(is_success)
        block.gauge(ENDED_AT, task).set(time.time())
        if folder is not None:
            _write(folder / f"ondeck_train_{task}.prom", MetricsPage(block).text())


def _write(path: Path, text: bytes) -> None:
    """Replace a file as a whole: the collector may read at any moment, but only names that end with .prom."""
    written = path.with_suffix(".tmp")
    try:
        written.write_bytes(text)
        written.replace(path)
    except OSError as failed:
        log.warning("train_metrics_not_written", path=str(path), reason=failed.strerror)
