"""The measures of the whole: every worker keeps its own in files of one folder, and here they are added up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
_GONE: Final = "gone"
_ADDED_UP: Final = ("counter", "histogram", "summary")


@contextmanager
def metrics_folder() -> Iterator["MetricsFolder"]:
    """Keep measures for as long as the block."""
    with TemporaryDirectory(prefix="ondeck-metrics_folder-", ignore_cleanup_errors=True) as folder:
        yield MetricsFolder(Path(folder))


class MetricsFolder:
    """The measures of all workers, those that are gone included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, path=str(folder))  # type: ignore[no-untyped-call]  # it has no types

    def page(self) -> bytes:
        """Write them all in Prometheus's text format."""
        return generate_latest(self._registry)

    def forget(self, pid: int) -> None:
        """Keep what a worker that has ended had counted, in one file for all of them; its gauges vanish."""
        for path in self.folder.glob(f"*_{pid}.db"):
            kind = path.name.partition("_")[0]
            if kind in _ADDED_UP:
                self._add(kind, path)
            path.unlink()

    def _add(self, kind: str, path: Path) -> None:
        sums = MmapedDict(str(self.folder / f"{kind}_{_GONE}.db"))  # type: ignore[no-untyped-call]  # it has no types
        try:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]  # as above
                so_far, _ = sums.read_value(key)  # type: ignore[no-untyped-call]  # as above
                sums.write_value(key, so_far + value, 0.0)  # type: ignore[no-untyped-call]  # as above
        finally:
            sums.close()  # type: ignore[no-untyped-call]  # as above
