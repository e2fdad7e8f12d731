"""Metrics of the whole server: each worker writes its metrics to files of one folder, which are summed here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
_EXITED: Final = "exited"
_SUMMED: Final = ("counter", "histogram", "summary")


@contextmanager
def metrics_folder() -> Iterator["MetricsFolder"]:
    """Create a temporary folder for the metrics within the block."""
    with TemporaryDirectory(prefix="ondeck-metrics-", ignore_cleanup_errors=True) as folder:
        yield MetricsFolder(Path(folder))


class MetricsFolder:
    """The metrics of all workers, including the counters of those that exited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, path=str(folder))  # type: ignore[no-untyped-call]  # it has no types

    def page(self) -> bytes:
        """Render all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def forget(self, pid: int) -> None:
        """Merge the counters of a worker that exited into one file for all such workers, and drop its gauges."""
        for path in self.folder.glob(f"*_{pid}.db"):
            kind = path.name.partition("_")[0]
            if kind in _SUMMED:
                self._add(kind, path)
            path.unlink()

    def _add(self, kind: str, path: Path) -> None:
        sums = MmapedDict(str(self.folder / f"{kind}_{_EXITED}.db"))  # type: ignore[no-untyped-call]  # it has no types
        try:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]  # as above
                previous, _ = sums.read_value(key)  # type: ignore[no-untyped-call]  # as above
                sums.write_value(key, previous + value, 0.0)  # type: ignore[no-untyped-call]  # as above
        finally:
            sums.close()  # type: ignore[no-untyped-call]  # as above
