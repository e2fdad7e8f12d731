"""Metrics of the whole server: each worker writes its metrics to files of one folder, which are summed here.

Metrics are never a reason to stop: without a folder, or with a full disk, some are missing until there is one again.
"""

import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from ondeck_runtime.temporary_folders import create_folder
from ondeck_server.ipc.metrics_file import AllocatedMetricsFile
from ondeck_server.supervisor.descriptors import DescriptorReserve

EXIT_REASONS: Final = ("retired", "died", "killed")
_EXITED: Final = "exited"
_SUMMED: Final = ("counter", "histogram", "summary")
_UNREADABLE: Final = (OSError, RuntimeError, ValueError, struct.error)  # of a file that is missing, or cut off

log = structlog.get_logger()


@contextmanager
def metrics_folder(reserve: DescriptorReserve) -> Iterator["MetricsFolder"]:
    """Create a temporary folder for the metrics within the block."""
    metrics = MetricsFolder(reserve)
    try:
        yield metrics
    finally:
        metrics.remove()


class MetricsFolder:
    """The metrics of all workers, including the counters of those that exited, and of the supervisor itself."""

    def __init__(self, reserve: DescriptorReserve) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.reserve = reserve
        self._folder: Path | None = None

    def folder(self) -> Path | None:
        """Return the folder, created if it does not exist; None: no temporary folder can be created."""
        try:
            if self._folder is None:
                self._folder = create_folder("metrics")
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as failed:
            log.warning("metrics_folder_failed", detail="new workers export no metrics", reason=str(failed))
            return None
        return self._folder

    def remove(self) -> None:
        """Remove the folder and its files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def page(self) -> bytes:
        """Render all metrics in the Prometheus text format."""
        with self.reserve.released():
            return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """Yield the sums of all files that can be read."""
        files = self._files("*.db")
        try:
            yield from _sums(files)
        except _UNREADABLE:
            yield from _sums([path for path in files if _is_readable(path)])

    def forget(self, pid: int) -> None:
        """Merge the counters of a worker that exited into one file for all such workers, and drop its gauges.

        Files that cannot be merged, since the disk is full, stay: they are part of the sums as they are.
        """
        with self.reserve.released():
            for path in self._files(f"*_{pid}.db"):
                kind = path.name.partition("_")[0]
                try:
                    if kind in _SUMMED and _is_readable(path):
                        _merge(path, path.with_name(f"{kind}_{_EXITED}.db"))
                    path.unlink(missing_ok=True)
                except _UNREADABLE as failed:
                    log.warning("metrics_not_merged", file=path.name, reason=str(failed))

    def _files(self, pattern: str) -> list[Path]:
        with suppress(OSError):
            return sorted(self._folder.glob(pattern)) if self._folder else []
        return []


class PoolMetrics:
    """Metrics of the workers themselves; plain numbers of the supervisor, which need no file."""

    def __init__(self, desired: int, states: Callable[[], Mapping[str, int]]) -> None:
        self._desired = desired
        self._states = states
        self.exits = dict.fromkeys(EXIT_REASONS, 0)
        self.start_failures = 0

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of this moment."""
        workers = GaugeMetricFamily("ondeck_workers", "Workers by state.", labels=["state"])
        for state, count in self._states().items():
            workers.add_metric([state], count)
        exits = CounterMetricFamily("ondeck_worker_exits", "Workers that exited, by reason.", labels=["reason"])
        for reason, count in self.exits.items():
            exits.add_metric([reason], count)
        yield workers
        yield exits
        yield GaugeMetricFamily("ondeck_workers_desired", "Workers that should accept calls.", self._desired)
        yield CounterMetricFamily(
            "ondeck_worker_start_failures", "Workers that could not be started.", self.start_failures
        )


class RefusalMetrics:
    """How many versions, and parts of models, are refused now."""

    def __init__(self, refusals: Callable[[], Sized]) -> None:
        self._refusals = refusals

    def collect(self) -> Iterable[Metric]:
        """Yield the metric of this moment."""
        yield GaugeMetricFamily(
            "ondeck_refusals",
            "Versions that a worker refuses, and models of which a part is set aside.",
            len(self._refusals()),
        )


def _sums(files: Iterable[Path]) -> Iterable[Metric]:
    merged: Iterable[Metric] = MultiProcessCollector.merge([str(path) for path in files])  # type: ignore[no-untyped-call]  # it has no types
    return merged


def _merge(added: Path, sums: Path) -> None:
    """Add the values of one file to those of another, which is replaced as a whole or not at all."""
    values = dict(_read(sums)) if sums.exists() else {}
    for key, value in _read(added):
        values[key] = values.get(key, 0.0) + value
    written = sums.with_suffix(".new")
    merged = AllocatedMetricsFile(str(written))
    try:
        for key, value in values.items():
            merged.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]  # it has no types
        if merged.is_in_memory:
            raise OSError("no space for the counters of exited workers")
        written.replace(sums)
    finally:
        merged.close()  # type: ignore[no-untyped-call]  # as above
        written.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[tuple[str, float]]:
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]  # as above
        yield key, value


def _is_readable(path: Path) -> bool:
    try:
        for _ in _read(path):
            pass
    except _UNREADABLE:
        return False
    return True
