"""Players are read by a process of its own, and every worker maps its file."""

import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest
from sqlalchemy import text

from ondeck_client import Client
from ondeck_ingest.register.load import group_by_kind, load_registers, read_tables
from ondeck_store.database import Database
from tests.fixtures.server import RunningServer, serving
from tests.integration.test_players import VETERAN, chadwick
from tests.integration.test_server_start_and_shutdown import page
from tests.integration.test_server_worker_memory import UNUSED

NAME_LIBRARIES = {"rapidfuzz", "ftfy", "anyascii", "nicknames"}  # which resolve the queries
WAIT_SECONDS = 60
CONNECTIONS = 16  # each is accepted by any of two workers
LATER = "n801,801,,,,Twin,Tom,Tom Adam,,1990,1,1,2015,2026,2018,2026"
LATEST = "n802,802,,,,Twin,Bert,Bert Adam,,1991,1,1,2015,2026,2018,2026"
READER = "ondeck_server.players.reader"


async def store(database: Database, *people: str) -> None:
    async with database.engine.begin() as connection:
        await load_registers(connection, group_by_kind(read_tables(chadwick(*people).encode(), "x")))


@pytest.fixture
async def server(
    database: Database, store_home: Path, small_repository: Path, tmp_path: Path
) -> AsyncIterator[RunningServer]:
    await store(database, VETERAN)
    words = ("--home", str(store_home))
    with serving(small_repository, *words, log=tmp_path / "log", workers=2, players_refresh_seconds=0.5) as running:
        wait_until(lambda: knows(running, 702))
        yield running


def knows(server: RunningServer, player_id: int) -> bool:
    """Return whether every worker knows a player."""
    try:
        for _ in range(CONNECTIONS):
            with Client(server.target) as client:
                client.player(player_id)
    except grpc.RpcError:
        return False
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def readers(server: RunningServer) -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process(server.process.pid).children()
        if each.status() != psutil.STATUS_ZOMBIE and READER in each.cmdline()
    ]


def is_killed(server: RunningServer, log: Path) -> bool:
    """Kill the readers, of which one may just have ended; return whether the supervisor has seen one killed."""
    for each in readers(server):
        with suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGKILL)
    return "exits with code -9" in log.read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux only")
async def test_workers_map_one_file_of_players_and_no_library_of_the_database(
    server: RunningServer, database: Database
) -> None:
    await store(database, VETERAN, LATER)
    wait_until(lambda: knows(server, 801))
    files = set()
    for worker in server.workers():
        mapped = [Path(each.path) for each in psutil.Process(worker.pid).memory_maps()]
        assert {part for path in mapped for part in path.parts} & (UNUSED - NAME_LIBRARIES) == set()
        files |= {path for path in mapped if path.parent.name.startswith("ondeck-players-")}
    assert len(files) == 1
    assert files.pop().parent.stat().st_mode & 0o777 == 0o700


async def test_the_last_players_stay_if_the_reader_is_killed(
    server: RunningServer, database: Database, tmp_path: Path
) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE players IN ACCESS EXCLUSIVE MODE"))
        wait_until(lambda: is_killed(server, tmp_path / "log"))
        assert knows(server, 702)
    assert 'ondeck_player_reads_total{outcome="failed"} 0.0' not in page(f"{server.admin}/metrics")[1]
    await store(database, VETERAN, LATEST)
    wait_until(lambda: knows(server, 802))
    assert "Traceback" not in (tmp_path / "log").read_text()
