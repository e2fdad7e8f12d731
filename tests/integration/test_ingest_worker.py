"""The ingest worker: schedule, shared queue, dead jobs and recovery."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from ondeck_ingest.jobs.queue import (
    BACKFILL_PRIORITY,
    DeadJob,
    QueueSummary,
    create_queries,
    dead_jobs,
    enqueue,
    requeue_dead,
    summarize_queue,
)
from ondeck_ingest.jobs.scheduler import Scheduler
from ondeck_ingest.jobs.worker import CONCURRENT_JOBS, IngestWorker
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.register.chadwick import ChadwickSource, RegisterRefresher
from ondeck_store.database import Database, asyncpg_connection
from ondeck_store.ingest.ledger import RecordedEntry, days_of, source_states
from ondeck_store.players.register_gaps import list_unresolved
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply, make_savant_source
from tests.integration.test_players import archive_of, chadwick

FIRST = date(2024, 6, 3)
DAYS = [FIRST + timedelta(days=number) for number in range(6)]
NOW = datetime(2024, 6, 5, 20, tzinfo=UTC)  # June 3 and 4 are the last finished days
CHRISTMAS = datetime(2024, 12, 24, 20, tzinfo=UTC)

MakeWorker = Callable[..., IngestWorker]


@pytest.fixture
def make_worker(database: Database, savant: FakeSavant, tmp_path: Path) -> MakeWorker:
    def make(
        now: datetime = CHRISTMAS,
        attempts: int = 3,
        failures: int = 1000,
        reset_seconds: float = 60.0,
        poll: float = 60.0,
    ) -> IngestWorker:
        source = make_savant_source(savant.url, failures=failures, seconds=reset_seconds)
        return IngestWorker(
            engine=database.engine,
            ingestor=Ingestor(engine=database.engine, source=source, home=tmp_path),
            breaker=source.breaker,
            refresher=RegisterRefresher(
                engine=database.engine,
                chadwick=ChadwickSource(url=f"{savant.url}/register", timeout=1.0),
                home=tmp_path,
            ),
            scheduler=Scheduler(
                engine=database.engine, source="savant", lookback_days=2, refetch_days=14, now=lambda: now
            ),
            attempts=attempts,
            heartbeat_timeout=timedelta(seconds=2),
            poll_seconds=poll,
            pause_after=lambda failures: timedelta(seconds=0.1 * failures),
        )

    return make


@asynccontextmanager
async def running_workers(*workers: IngestWorker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = [asyncio.create_task(worker.run(stop)) for worker in workers]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*running)


async def wait_until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110  the condition is in the database
            await asyncio.sleep(0.05)


async def enqueue_days(database: Database, days: list[date]) -> int:
    async with database.engine.begin() as connection:
        return await enqueue(connection, "savant", days, BACKFILL_PRIORITY)


async def backlog(database: Database) -> QueueSummary:
    async with database.engine.connect() as connection:
        return await summarize_queue(connection)


async def dead(database: Database) -> list[DeadJob]:
    async with database.engine.connect() as connection:
        return list(await dead_jobs(connection))


async def entries(database: Database) -> list[RecordedEntry]:
    async with database.engine.connect() as connection:
        return await days_of(connection, "savant", FIRST, DAYS[-1])


async def is_done(database: Database) -> bool:
    left = await backlog(database)
    return left.queued + left.running == 0


def reply_of_day(day: date) -> Reply:
    return Reply(body=as_csv(sample_cells(day, days=1)))


async def test_workers_share_a_backlog_and_request_each_day_once(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    savant.replies = {day: reply_of_day(day) for day in DAYS}
    assert await enqueue_days(database, DAYS) == len(DAYS)
    assert await enqueue_days(database, DAYS) == 0
    assert [entry.state for entry in await entries(database)] == ["requested"] * len(DAYS)
    async with running_workers(make_worker(), make_worker()):
        await wait_until(lambda: is_done(database))
    assert sorted(savant.requested_days) == DAYS
    assert [entry.state for entry in await entries(database)] == ["done"] * len(DAYS)


async def test_the_worker_follows_the_schedule_and_survives_an_outage(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    savant.otherwise = Reply(status=503)
    async with running_workers(make_worker(now=NOW, attempts=1000)):
        await wait_until(lambda: _has_failed(database, DAYS[:2]))
        savant.replies = {day: reply_of_day(day) for day in DAYS[:2]}
        await wait_until(lambda: is_done(database))
    assert set(savant.requested_days) == set(DAYS[:2])
    assert [entry.state for entry in await entries(database)] == ["done", "done"]


async def _has_failed(database: Database, days: list[date]) -> bool:
    return {entry.day for entry in await entries(database) if entry.state == "failed"} == set(days)


async def test_players_known_by_id_only_are_looked_up_and_filled_in(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    cells = sample_cells(FIRST, days=1)
    batter, pitcher = int(cells["batter"][0]), int(cells["pitcher"][0])
    savant.replies = {day: reply_of_day(day) for day in DAYS[:2]}
    savant.register = Reply(body=archive_of(chadwick(f"eeee,{batter},,,,Rookie,Ray,Ray,,2000,1,1,2024,2024,,")))
    async with running_workers(make_worker(now=NOW, poll=0.2)):
        await wait_until(lambda: _is_known(database, batter))
    async with database.engine.connect() as connection:
        waiting = {player.player_id: player.next_try for player in await list_unresolved(connection)}
    assert waiting[pitcher] is not None


async def _is_known(database: Database, player_id: int) -> bool:
    request_count = text("SELECT 1 FROM players WHERE player_id = :player AND state = 'known' AND name_first = 'Ray'")
    async with database.engine.connect() as connection:
        return bool((await connection.execute(request_count, {"player": player_id})).scalar_one_or_none())


async def test_an_unreachable_register_is_tried_once_a_day_and_days_continue(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    savant.replies = {day: reply_of_day(day) for day in DAYS[:2]}
    async with running_workers(make_worker(now=NOW, attempts=2, poll=0.2)):
        await wait_until(lambda: _is_dead(database))
        await asyncio.sleep(0.5)
    (lost,) = await dead(database)
    assert (lost.source, lost.attempts, "answered with status 503" in lost.reason) == ("chadwick", 2, True)
    assert [entry.state for entry in await entries(database)] == ["done", "done"]


async def test_nothing_is_requested_out_of_season(make_worker: MakeWorker, database: Database) -> None:
    assert await make_worker().scheduler.enqueue_due() == []
    assert await is_done(database)


async def test_the_scheduler_adds_a_day_once_and_again_the_next_day(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    now = datetime.now(UTC).replace(month=6, day=5, hour=20)  # the ledger uses the real clock
    known = [now.date() - timedelta(days=2), now.date() - timedelta(days=1)]
    savant.replies = {day: reply_of_day(day) for day in known}
    schedule = make_worker(now=now).scheduler
    assert await schedule.enqueue_due() == known
    assert (await backlog(database)).queued == 2
    assert await schedule.enqueue_due() == known
    assert (await backlog(database)).queued == 2


async def test_a_day_that_fails_too_often_is_dead_and_can_be_retried(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    savant.replies[FIRST] = Reply(body=b"<html>Just a moment")
    await enqueue_days(database, [FIRST])
    worker = make_worker(attempts=3)
    with capture_logs() as logs:
        async with running_workers(worker):
            await wait_until(lambda: _is_dead(database))
    assert savant.requested_days == [FIRST] * 3
    (lost,) = await dead(database)
    assert (lost.day, lost.attempts, "it is an HTML page" in lost.reason) == (FIRST, 3, True)
    assert [each["event"] for each in logs if each.get("job") == "day"] == ["job_failed"] * 2 + ["job_dead"]
    savant.replies[FIRST] = reply_of_day(FIRST)
    async with database.engine.begin() as connection:
        assert await requeue_dead(connection, "savant") == {FIRST}
    async with running_workers(make_worker()):
        await wait_until(lambda: is_done(database))
    assert (await dead(database), (await entries(database))[0].state) == ([], "done")


async def _is_dead(database: Database) -> bool:
    return bool(await dead(database))


async def test_days_wait_without_losing_attempts_while_the_circuit_is_open(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    savant.otherwise = Reply(status=403)
    await enqueue_days(database, DAYS)
    worker = make_worker(attempts=4, failures=3, reset_seconds=5.0)
    with capture_logs() as logs:
        async with running_workers(worker):
            await wait_until(lambda: is_circuit_open(database))
            savant.replies = {day: reply_of_day(day) for day in DAYS}
            await wait_until(lambda: is_done(database))
    opened, closed = (each for each in logs if "source" in each)
    assert (opened["event"], closed["event"]) == ("circuit_opened", "circuit_closed")
    while_open = [each for each in savant.request_times if each < datetime.fromisoformat(opened["until"])]
    assert 3 <= len(while_open) < 3 + CONCURRENT_JOBS, "the jobs beside the one that failed last had sent theirs"
    assert [entry.state for entry in await entries(database)] == ["done"] * len(DAYS)
    async with database.engine.connect() as connection:
        assert [each.state for each in await source_states(connection)] == ["closed"]


async def is_circuit_open(database: Database) -> bool:
    async with database.engine.connect() as connection:
        return [each.state for each in await source_states(connection)] == ["open"]


async def test_a_stopping_worker_returns_unfinished_jobs(
    make_worker: MakeWorker, savant: FakeSavant, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ondeck_ingest.jobs.handler.GRACE_SECONDS", 0.1)
    savant.replies[FIRST] = Reply(delay=0.9)
    await enqueue_days(database, [FIRST])
    async with running_workers(make_worker()):
        await wait_until(lambda: has_requests(savant))
    left = await backlog(database)
    assert (left.queued, left.running) == (1, 0)


async def has_requests(savant: FakeSavant) -> bool:
    return bool(savant.requested_days)


async def test_the_job_of_a_silent_worker_is_taken_over(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    savant.replies[FIRST] = reply_of_day(FIRST)
    await enqueue_days(database, [FIRST])
    async with database.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE ingest_pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), "
                "heartbeat = now() - interval '4 seconds'"
            )
        )
    async with running_workers(make_worker()):
        await wait_until(lambda: is_done(database))
    assert savant.requested_days == [FIRST]


async def test_the_queue_tables_match_the_installed_pgqueuer(database: Database) -> None:
    async with database.engine.connect() as connection:
        plan = await create_queries(await asyncpg_connection(connection)).plan_upgrade()
        expected = (
            await connection.execute(text("SELECT prosrc FROM pg_proc WHERE proname = 'ingest_fn_pgqueuer_changed'"))
        ).scalar_one()
    (function,) = plan.statements  # equal except for whitespace and comments
    assert words(function.split("$$")[1]) == words(expected)


def words(function: str) -> list[str]:
    return re.sub("--.*", "", function).split()
