"""A season into an empty database, by the command that people use: how long, how much memory, beside a bare COPY."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import psutil

from benchmarks.ingest import BARE, bare_rate
from benchmarks.rows import REAL
from ondeck_ingest.sources.simulator import simulated_day
from ondeck_store.database import open_database
from ondeck_store.settings import StoreSettings

COLUMNS = ("", "rows", "s", "rows/s", "of the bare COPY", "peak memory, MB")
ROUNDS = 2
SIMULATED_DAYS = 180
LOOK_EVERY = 0.05  # s

TAKEN = "ondeck ingest files, start to end"
AGAIN = "the same again: nothing changes"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One command: rows, seconds, and the most memory that its process held."""

    rows: int
    seconds: float
    megabytes: float


def measure() -> tuple[str, list[tuple[str, ...]]]:
    """Measure over the real season where it is at hand; returns a title and the rows of the table."""
    with _season() as (folder, origin):
        rounds = [_round(folder) for _ in range(ROUNDS)]
    bare = statistics.median(rate for _, _, rate in rounds)
    rows = rounds[0][0].rows
    lines = [
        _line(TAKEN, [taken for taken, _, _ in rounds], bare),
        _line(AGAIN, [again for _, again, _ in rounds], bare),
    ]
    return f"season: {origin}", [*lines, (BARE, f"{rows:,}", f"{rows / bare:.1f}", f"{bare:,.0f}", "1.00", "")]


def _round(folder: Path) -> tuple[Run, Run, float]:
    with tempfile.TemporaryDirectory() as home:
        return _run(folder, Path(home)), _run(folder, Path(home)), asyncio.run(_bare(Path(home)))


def _run(folder: Path, home: Path) -> Run:
    command = [sys.executable, "-m", "ondeck_cli", "ingest", "files", str(folder), "--home", str(home)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = _peak_memory(process)
        seconds = time.perf_counter() - begin
        last = process.communicate()[0].splitlines()[-1]
    if process.returncode:
        raise RuntimeError(f"the command failed: {last}")
    return Run(rows=int(last.split()[0]), seconds=seconds, megabytes=peak / 2**20)


def _peak_memory(process: subprocess.Popen[str]) -> int:
    """Watch a process to its end; what the system counts for it would hold the memory of this one, too."""
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            peak = max(peak, watched.memory_info().rss)
        time.sleep(LOOK_EVERY)
    return peak


async def _bare(home: Path) -> float:
    async with open_database(StoreSettings(home=home)) as database:
        return await bare_rate(database.engine)


def _line(name: str, runs: list[Run], bare: float) -> tuple[str, ...]:
    seconds = statistics.median(run.seconds for run in runs)
    rate, peak = runs[0].rows / seconds, max(run.megabytes for run in runs)
    return name, f"{runs[0].rows:,}", f"{seconds:.1f}", f"{rate:,.0f}", f"{rate / bare:.2f}", f"{peak:,.0f}"


@contextmanager
def _season() -> Iterator[tuple[Path, str]]:
    if (REAL / "statcast").is_dir():
        yield REAL / "statcast", "real rows of 2024, eight parquet files"
        return
    with tempfile.TemporaryDirectory() as folder:
        for number in range(SIMULATED_DAYS):
            rows = pl.concat(simulated_day(date(2022, 4, 1) + timedelta(days=number), games=15))
            rows.write_csv(Path(folder) / f"{number:03d}.csv")
        yield Path(folder), f"simulated rows, {SIMULATED_DAYS} CSV files"
