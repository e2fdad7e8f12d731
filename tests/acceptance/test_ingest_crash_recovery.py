"""Workers and the database are killed repeatedly; in the end every row is stored once."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import psutil

from ondeck_ingest.jobs.queue import summarize_queue
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.register.chadwick import ChadwickSource, RegisterRefresher
from ondeck_ingest.sources.base import day_request
from ondeck_store.database import Database, DatabaseUnreachableError, open_database
from ondeck_store.embedded.account import EmbeddedPostgresError
from ondeck_store.ingest.ledger import days_of
from ondeck_store.migrations import migrate
from ondeck_store.pitches.content_digest import content_digest
from ondeck_store.settings import StoreSettings
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply, make_savant_source
from tests.integration.test_players import VETERAN, archive_of
from tests.integration.test_players import chadwick as chadwick_of

FIRST = date(2023, 5, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(90)]
WORKERS = 3
KILLS = 20
PATIENCE = 240


@dataclass(kw_only=True)
class WorkerGroup:
    """Three workers on one embedded database, and methods to kill them."""

    home: Path
    savant_url: str
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def command(self, *words: str) -> "subprocess.Popen[bytes]":
        environment = {
            "ONDECK_SAVANT_URL": self.savant_url,
            "ONDECK_CHADWICK_URL": f"{self.savant_url}/register",
            "ONDECK_HEARTBEAT_TIMEOUT_SECONDS": "2",
            "ONDECK_SAVANT_ATTEMPTS": "1",
            "ONDECK_BREAKER_FAILURES": "1000",
        }
        with (self.home.parent / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ondeck_cli", "ingest", *words, "--home", str(self.home)],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        self.workers.append(self.command("worker"))

    def kill_a_worker(self, number: int) -> None:
        killed = self.workers.pop(number)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        self.start()

    def kill_the_database(self) -> None:
        pid_file = self.home / "postgres" / "data" / "postmaster.pid"
        if pid_file.exists():
            postmaster = int(pid_file.read_text().split()[0])
            if psutil.pid_exists(postmaster):
                os.kill(postmaster, signal.SIGKILL)


@contextmanager
def run_workers(home: Path, savant_url: str) -> Iterator[WorkerGroup]:
    group = WorkerGroup(home=home, savant_url=savant_url)
    try:
        yield group
    finally:
        for worker in group.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in group.workers:
            worker.wait(timeout=60)


async def ingest_without_kills(home: Path, savant: FakeSavant) -> dict[str, str]:
    async with open_database(StoreSettings(home=home)) as database:
        await migrate(database.engine)
        ingestor = Ingestor(engine=database.engine, source=make_savant_source(savant.url), home=home)
        for day in DAYS:
            await ingestor.ingest(day_request(day))
        chadwick = ChadwickSource(url=f"{savant.url}/register", timeout=5)
        await RegisterRefresher(engine=database.engine, chadwick=chadwick, home=home).refresh()
        return await digest_of(database)


async def digest_of(database: Database) -> dict[str, str]:
    async with database.engine.connect() as connection:
        return await content_digest(connection)


async def days_left(home: Path) -> int:
    async with open_database(StoreSettings(home=home)) as database, database.engine.connect() as connection:
        backlog = await summarize_queue(connection)
        return backlog.queued + backlog.running


async def wait_days_left(home: Path) -> int:
    """Return the number of unfinished days once the database answers again."""
    while True:
        try:
            return await days_left(home)
        except (DatabaseUnreachableError, EmbeddedPostgresError):
            await asyncio.sleep(0.5)


async def test_kills_at_random_moments_leave_the_same_final_state(tmp_path: Path, savant: FakeSavant) -> None:
    savant.replies = {day: Reply(body=as_csv(sample_cells(day, 1, seed=n))) for n, day in enumerate(DAYS)}
    savant.register = Reply(body=archive_of(chadwick_of(VETERAN)))
    home, rng = tmp_path / "killed" / "home", random.Random(20240328)  # noqa: S311  random times, no secret
    home.mkdir(parents=True)
    expected = await ingest_without_kills(tmp_path / "without_kills", savant)
    savant.requested_days.clear()
    savant.replies = {day: replace(reply, delay=0.5) for day, reply in savant.replies.items()}
    with run_workers(home, savant.url) as group:
        assert group.command("backfill", str(DAYS[0]), str(DAYS[-1])).wait(timeout=PATIENCE) == 0
        for _ in range(WORKERS):
            group.start()
        while not savant.requested_days:  # noqa: ASYNC110  the condition is in another process
            await asyncio.sleep(0.05)
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.1, 2.0))
            group.kill_the_database() if rng.random() < 0.3 else group.kill_a_worker(rng.randrange(WORKERS))
        left_at_the_last_kill = await wait_days_left(home)
        deadline = time.monotonic() + PATIENCE
        while await wait_days_left(home):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.5)
    async with open_database(StoreSettings(home=home)) as database:
        async with database.engine.connect() as connection:
            entries = await days_of(connection, "savant", DAYS[0], DAYS[-1])
        assert await digest_of(database) == expected
    assert [entry.state for entry in entries] == ["done"] * len(DAYS)
    assert 0 < left_at_the_last_kill < len(DAYS)  # the work continued and was not finished
