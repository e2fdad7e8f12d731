"""Peak memory of training on five seasons in the database: the process with its workers.

    python -m benchmarks.training_memory [--home FOLDER] [--seasons 5] [TASK ...]

The season of 2024, or a simulated one, is loaded into an embedded database and copied to earlier years; `--home` keeps
it. Each task is trained in a process of its own with the members of its recipe, but few iterations: their number
changes the time, not the memory. Memory is the proportional set size (PSS), so pages that processes share count once.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from sqlalchemy import Table, text

from benchmarks.season_ingest import ingest_season, open_season
from benchmarks.terminal_tables import environment, table
from benchmarks.workload_sizes import FULL
from ondeck_core.tasks import TASKS, task_named
from ondeck_store.embedded.shared_server import has_database
from ondeck_store.migrations import open_migrated
from ondeck_store.settings import StoreSettings
from ondeck_store.tables.statcast import games, pitches
from ondeck_trainer.data.source import read_stored_dataset
from ondeck_trainer.model.ensemble import ParallelFit
from ondeck_trainer.model.learners import BoostingSpec, Recipe
from ondeck_trainer.model.recipes import RECIPES
from ondeck_trainer.pipeline import TrainingPlan, train

COLUMNS: Final = ("task", "rows", "peak of reading, MB", "peak of the run, MB", "s")
SEASONS: Final = 5
WORKERS: Final = 2
_SAMPLE_SECONDS: Final = 0.2
_GAME_STEP: Final = 10_000_000  # between the numbers of a game and of its copy in another year
_GAMES: Final = """
INSERT INTO games ({names})
SELECT {values} FROM games WHERE season = {season} AND game_pk < {limit}
"""
_PITCHES: Final = """
INSERT INTO pitches ({names})
SELECT {values} FROM pitches WHERE game_year = {season} AND game_pk < {limit}
"""


def shorten(recipe: Recipe) -> Recipe:
    """Return a recipe whose members take the same memory and little time."""
    return {
        name: replace(spec, n_iterations=3) if isinstance(spec, BoostingSpec) else replace(spec, stages=((2e-3, 1),))
        for name, spec in recipe.items()
    }


async def fill(home: Path, seasons: int) -> None:
    """Copy the stored season to earlier years, until so many seasons are stored."""
    async with open_migrated(StoreSettings(home=home, statement_timeout=3600)) as database:
        async with database.engine.connect() as connection:
            stored = [row[0] for row in await connection.execute(text("SELECT DISTINCT season FROM games ORDER BY 1"))]
        for years in range(len(stored), seasons):
            async with database.engine.begin() as connection:
                await connection.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys
                for statement in _copy_statements(stored[-1], years):
                    await connection.execute(text(statement))
        async with database.engine.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE pitches"))


def _copy_statements(season: int, years: int) -> tuple[str, str]:
    """Return the statements that copy the games and the pitches of a season to an earlier year."""
    changed = {
        "game_pk": f"game_pk + {years * _GAME_STEP}",
        "season": f"season - {years}",
        "game_year": f"game_year - {years}",
        "game_date": f"(game_date - interval '{years} years')::date",
    }
    return (
        _copy_statement(_GAMES, games, changed, season),
        _copy_statement(_PITCHES, pitches, changed, season),
    )


def _copy_statement(statement: str, copied: Table, changed: Mapping[str, str], season: int) -> str:
    names = [column.name for column in copied.columns if column.name != "stored_at"]
    values = ", ".join(changed.get(name, name) for name in names)
    return statement.format(names=", ".join(names), values=values, season=season, limit=_GAME_STEP)


def measure(home: Path, task: str) -> tuple[str, ...]:
    """Train a task in another process; returns the row of the table."""
    command = [sys.executable, "-m", "benchmarks.training_memory", "--home", str(home), "--inside", task]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, _tree_memory(process.pid))
            time.sleep(_SAMPLE_SECONDS)
        printed = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"training failed: {printed}")
    rows, reading = printed.split()
    return task, f"{int(rows):,}", reading, f"{peak / 1000:,.0f}", f"{time.perf_counter() - begin:.0f}"


def _tree_memory(pid: int) -> int:
    """Return the memory (PSS) of a process and its descendants: kB."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for each in (root, *root.children(recursive=True)):
            with suppress(OSError):
                total += _proportional_set_size(each.pid)
    return total


def _proportional_set_size(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def train_inside(home: Path, name: str) -> None:
    """Train a task in this process; prints the rows, and the peak memory when they are read."""
    dataset = asyncio.run(read_stored_dataset(StoreSettings(home=home), task_named(name)))
    reading = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    with tempfile.TemporaryDirectory() as models:
        workers, recipe = ParallelFit(jobs=WORKERS), shorten(RECIPES[name])
        plan = TrainingPlan(models=Path(models), seed=1, recipe=recipe, force=True, workers=workers)
        train(dataset, plan, lambda line: print(line, file=sys.stderr))
    print(len(dataset), f"{reading:,.0f}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="*", default=[*TASKS])
    parser.add_argument("--home", type=Path, help="folder of the embedded database, filled if it is empty")
    parser.add_argument("--seasons", type=int, default=SEASONS)
    parser.add_argument("--inside", action="store_true", help="train in this process; the benchmark starts itself so")
    return parser.parse_args()


def main() -> None:
    """Fill the database, train every task, print the table."""
    args = _parse()
    if args.inside:
        train_inside(args.home, *args.tasks)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = args.home or Path(folder)
        if not has_database(home):
            with open_season(FULL) as (season, _):
                ingest_season(season, home)
        asyncio.run(fill(home, args.seasons))
        rows = [measure(home, task) for task in args.tasks]
    title = f"Training on {args.seasons} seasons with {WORKERS} workers, {environment()}"
    Console(width=120).print(table(title, COLUMNS, rows))


if __name__ == "__main__":
    main()
