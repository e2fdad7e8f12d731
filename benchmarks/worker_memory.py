"""Memory of each process of a server with the shipped models, as proportional set size (PSS)."""

import time
from pathlib import Path
from typing import Final

import psutil

from benchmarks.workload_sizes import Scale
from tests.conftest import ROOT
from tests.fixtures.server import serving

COLUMNS: Final = ("process", "PSS, MB", "anonymous, MB", "files, MB")
WORKERS: Final = 2
_FIELDS: Final = ("Pss", "Pss_Anon", "Pss_File")
_IDLE_SECONDS: Final = 7.0  # after which the process of the load trials has ended


def measure(_: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure an idle server; returns a title and the rows of the table."""
    with serving(ROOT / "onnx_models", workers=WORKERS) as server:
        time.sleep(_IDLE_SECONDS)
        lines = [_line("supervisor", server.process.pid)]
        lines += [_line("worker", each.pid) for each in server.workers()]
        others = len(psutil.Process(server.process.pid).children()) - WORKERS
    return f"Memory of an idle server with {WORKERS} workers, no players, {others} other processes", lines


def _line(name: str, pid: int) -> tuple[str, ...]:
    values: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        field, _, value = line.partition(":")
        values[field] = int(value.split()[0])
    return name, *(f"{values[field] / 1000:.0f}" for field in _FIELDS)
