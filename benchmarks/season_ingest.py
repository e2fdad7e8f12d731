"""`ondeck ingest files` of a season into an empty database: time and peak memory, beside a bare COPY."""

import asyncio
import re
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
from benchmarks.input_rows import REAL
from benchmarks.workload_sizes import Scale
from ondeck_ingest.sources.simulator import simulated_day
from ondeck_store.database import open_database
from ondeck_store.settings import StoreSettings

COLUMNS = ("", "rows", "s", "rows/s", "of the bare COPY", "peak memory, MB")
SAMPLE_INTERVAL = 0.05  # seconds
_TOTAL = re.compile(r"^([\d,]+) rows in:", re.MULTILINE)  # of all files; reasons of rows set aside follow

FIRST = "ondeck ingest files, start to end"
REPEATED = "the same again: nothing changes"


@dataclass(frozen=True, kw_only=True)
class CommandRun:
    """One command: rows, seconds, and the peak memory of its process."""

    rows: int
    seconds: float
    megabytes: float


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure over the real season where it exists; returns a title and the rows of the table."""
    with open_season(scale) as (folder, origin):
        rounds = [_round(folder) for _ in range(scale.season_rounds)]
    bare = statistics.median(rate for _, _, rate in rounds)
    rows = rounds[0][0].rows
    lines = [
        _line(FIRST, [first for first, _, _ in rounds], bare),
        _line(REPEATED, [repeated for _, repeated, _ in rounds], bare),
    ]
    return f"season: {origin}", [*lines, (BARE, f"{rows:,}", f"{rows / bare:.1f}", f"{bare:,.0f}", "1.00", "")]


def _round(folder: Path) -> tuple[CommandRun, CommandRun, float]:
    with tempfile.TemporaryDirectory() as home:
        return ingest_season(folder, Path(home)), ingest_season(folder, Path(home)), asyncio.run(_bare_copy(Path(home)))


def ingest_season(folder: Path, home: Path) -> CommandRun:
    """Run `ondeck ingest files` on a folder."""
    command = [sys.executable, "-m", "ondeck_cli", "ingest", "files", str(folder), "--home", str(home)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = _peak_memory(process)
        seconds = time.perf_counter() - begin
        printed = process.communicate()[0]
    total = _TOTAL.search(printed)
    if process.returncode or total is None:
        raise RuntimeError(f"the command failed: {printed}")
    return CommandRun(rows=int(total[1].replace(",", "")), seconds=seconds, megabytes=peak / 2**20)


def _peak_memory(process: subprocess.Popen[str]) -> int:
    """Sample a process until it ends; the system's own counter would include the memory of this process."""
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            peak = max(peak, watched.memory_info().rss)
        time.sleep(SAMPLE_INTERVAL)
    return peak


async def _bare_copy(home: Path) -> float:
    async with open_database(StoreSettings(home=home)) as database:
        return await bare_rate(database.engine)


def _line(name: str, runs: list[CommandRun], bare: float) -> tuple[str, ...]:
    seconds = statistics.median(run.seconds for run in runs)
    rate, peak = runs[0].rows / seconds, max(run.megabytes for run in runs)
    return name, f"{runs[0].rows:,}", f"{seconds:.1f}", f"{rate:,.0f}", f"{rate / bare:.2f}", f"{peak:,.0f}"


@contextmanager
def open_season(scale: Scale) -> Iterator[tuple[Path, str]]:
    """Return the folder of a season's files, and what they are."""
    if scale.uses_real_rows and (REAL / "statcast").is_dir():
        yield REAL / "statcast", "real rows of 2024, eight parquet files"
        return
    with tempfile.TemporaryDirectory() as folder:
        for number in range(scale.season_days):
            rows = pl.concat(simulated_day(date(2022, 4, 1) + timedelta(days=number), games=15))
            rows.write_csv(Path(folder) / f"{number:03d}.csv")
        yield Path(folder), f"simulated rows, {scale.season_days} CSV files"
