"""Players beside millions of stored pitches: start of the server, memory, a day's sums, `ondeck players resolve`.

    python -m benchmarks.stored_players FOLDER [--pitches N]

FOLDER keeps the embedded database of the first run: the real season of 2024 and the real register, then copies of the
season with shifted games and years until N pitches are stored. A copied row is labelled so in its column `extra`.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import grpc
import polars as pl
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from benchmarks.input_rows import MONTH, REAL
from ondeck_core.statcast.parse import parse_cells
from ondeck_store.database import Database
from ondeck_store.migrations import open_migrated
from ondeck_store.pitches import upsert
from ondeck_store.pitches.player_seasons import GROUPED, SUMS
from ondeck_store.settings import StoreSettings
from tests.conftest import ROOT
from tests.fixtures.server import RunningServer, serving

GAMES_SHIFT: Final = 1_000_000  # added to the number of a game for each year
SEASON: Final = 2024
NEW_DAY: Final = date(2024, 4, 10)  # of a gap in the real season
SERVICE: Final = "ondeck.v1.PlayerService"
QUERY: Final = ("players", "resolve", "Juan Soto", "--season", "2024", "--role", "batter")
ROUNDS: Final = 5
_MADE: Final = '\'{"made": "a copy of another season"}\'::jsonb'


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pitches", type=int, default=7_000_000)
    given = parser.parse_args()
    asyncio.run(_measure(given.folder, given.pitches))


async def _measure(home: Path, pitches: int) -> None:
    async with open_migrated(StoreSettings(home=home, statement_timeout=0)) as database:
        stored = await _count(database.engine, "pitches")
        if not stored:
            _ondeck(home, "ingest", "files", str(REAL / "statcast"))
            _ondeck(home, "players", "import", str(REAL / "ids"))
        for shift in range(1, 16):
            if await _count(database.engine, "pitches") < pitches:
                await _copy_season(database.engine, shift)
        for table in ("pitches", "player_seasons"):
            print(f"{table}: {await _count(database.engine, table):,} rows")
        await _measure_day(database)
        _measure_resolve(home)
        await asyncio.to_thread(_measure_server, home)


async def _copy_season(engine: AsyncEngine, shift: int) -> None:
    """Copy the season some years back, if that is not done; the sums of the copy are computed from its rows."""
    season = SEASON - shift
    if await _count(engine, f"games WHERE season = {season}"):
        return
    started = time.perf_counter()
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))  # the keys exist
        for table, year in (("games", "season"), ("pitches", "game_year")):
            await _copy_rows(connection, table, year, shift)
        await connection.execute(text(f"INSERT INTO player_seasons {SUMS} WHERE season = {season} {GROUPED}"))
    print(f"{season} copied in {time.perf_counter() - started:.0f} s", flush=True)


async def _copy_rows(connection: AsyncConnection, table: str, year: str, shift: int) -> None:
    found = await connection.execute(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = :table"), {"table": table}
    )
    names = list(found.scalars())
    changed = {
        year: f"{year} - {shift}",
        "game_pk": f"game_pk + {GAMES_SHIFT * shift}",
        "game_date": f"(game_date - interval '{shift} years')::date",
        "extra": _MADE,
    }
    values = ", ".join(changed.get(name, name) for name in names)
    await connection.execute(
        text(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} WHERE {year} = {SEASON}")  # noqa: S608  constant names
    )


async def _measure_day(database: Database) -> None:
    """Store a copy of a real day on a day without games, with the time that the sums take of it; then roll back."""
    seconds: list[float] = []

    def timed(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*arguments: Any) -> Any:  # noqa: ANN401  those of the function
            started = time.perf_counter()
            done = await work(*arguments)
            seconds.append(time.perf_counter() - started)
            return done

        return run

    rows = parse_cells(pl.read_parquet(MONTH)).rows
    day = rows.filter(pl.col("game_date") == rows["game_date"].min()).with_columns(
        game_pk=pl.col("game_pk") + GAMES_SHIFT // 2, game_date=pl.lit(NEW_DAY)
    )
    upsert.execute_for_games = timed(upsert.execute_for_games)  # type: ignore[assignment]  # the same function, timed
    corrected = day.with_columns(batter=pl.col("batter").shift(1, fill_value=day["batter"][0]))
    async with database.engine.connect() as connection:
        for name, state in (("new day", day), ("the day with corrected batters", corrected)):
            seconds.clear()
            started = time.perf_counter()
            await upsert.upsert_pitches(connection, state, simulated=False)
            total = time.perf_counter() - started
            print(f"{name}, {state.height:,} pitches: {total:.2f} s, the sums {sum(seconds):.3f} s of it")
        await connection.rollback()


def _measure_resolve(home: Path) -> None:
    _ondeck(home, *QUERY)
    walls, cpus = [], []
    for _ in range(ROUNDS):
        started, before = time.perf_counter(), _child_seconds()
        _ondeck(home, *QUERY)
        walls.append(time.perf_counter() - started)
        cpus.append(_child_seconds() - before)
    print(f"ondeck players resolve: {statistics.median(walls):.2f} s, {statistics.median(cpus):.2f} s of CPU time")


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measure_server(home: Path) -> None:
    with tempfile.TemporaryDirectory() as empty, serving(ROOT / "onnx_models", "--home", empty, workers=2) as server:
        without = _pss(server)
    with serving(ROOT / "onnx_models", "--home", str(home), workers=2) as server:
        started = time.perf_counter()
        with grpc.insecure_channel(server.target) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            while stub.Check(request).status != health_pb2.HealthCheckResponse.SERVING:
                time.sleep(0.02)
        print(f"{SERVICE} is SERVING {time.perf_counter() - started:.2f} s after the server is ready")
        print(f"a worker takes {_pss(server) - without:.0f} MB more with players (PSS, two workers)")


def _pss(server: RunningServer) -> float:
    """Return the largest proportional set size of a worker, in MB."""
    time.sleep(8)  # until the process of the load trials has ended
    return max(float(psutil.Process(each.pid).memory_full_info().pss) for each in server.workers()) / 1e6


async def _count(engine: AsyncEngine, rows: str) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {rows}"))).scalar_one())  # noqa: S608  a table


def _ondeck(home: Path, *words: str) -> None:
    command = [sys.executable, "-m", "ondeck_cli", *words, "--home", str(home)]
    subprocess.run(command, check=False, capture_output=True)


if __name__ == "__main__":
    main()
