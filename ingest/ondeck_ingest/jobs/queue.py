"""The job queue that all workers share: one job per day of a source, and one for the register.

The queue is pgqueuer's; only this module uses its tables.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import asyncpg
from pgqueuer import AsyncpgDriver, Queries
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.settings import DBSettings
from pgqueuer.types import Channel, JobId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_runtime.correlation import current_correlation_id
from ondeck_store.database import asyncpg_connection
from ondeck_store.ingest.ledger import request_days

CHANNEL: Final = Channel("ingest_ch_pgqueuer")
SCHEDULE_PRIORITY: Final = 10
REFETCH_PRIORITY: Final = 5
BACKFILL_PRIORITY: Final = 0
REGISTER: Final = "chadwick"
CORRELATION_HEADER: Final = "x-correlation-id"  # of a job: that of the command which enqueued it

# All names are fixed here, so that no environment variable changes one.
_NAMES: Final = DBSettings(
    prefix="ingest_",
    db_schema=None,
    pgqueuer_channel=CHANNEL,
    pgqueuer_function="ingest_fn_pgqueuer_changed",
    pgqueuer_statistics_table="ingest_pgqueuer_statistics",
    pgqueuer_queue_status_type="ingest_pgqueuer_status",
    pgqueuer_queue_table="ingest_pgqueuer",
    pgqueuer_queue_table_log="ingest_pgqueuer_log",
    pgqueuer_trigger="ingest_tg_pgqueuer_changed",
    pgqueuer_schedules_table="ingest_pgqueuer_schedules",
)

_COUNTS: Final = text("""
SELECT count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'picked') AS running,
    min(created) FILTER (WHERE status IN ('queued', 'picked')) AS oldest
FROM ingest_pgqueuer
""")

_A_DAY: Final = timedelta(days=1)
_DEAD_JOBS: Final = text("""
SELECT job.id, job.entrypoint AS source, convert_from(job.payload, 'UTF8')::date AS day,
    job.attempts + 1 AS attempts, job.updated AS since, coalesce(last.traceback ->> 'exception_message', '') AS reason
FROM ingest_pgqueuer AS job
LEFT JOIN LATERAL (
    SELECT traceback FROM ingest_pgqueuer_log AS log
    WHERE log.job_id = job.id AND log.status = 'failed' ORDER BY log.created DESC, log.id DESC LIMIT 1
) AS last ON true
WHERE job.status = 'failed' ORDER BY source, day
""")


@dataclass(frozen=True, kw_only=True)
class QueueSummary:
    """How many jobs are queued or running, and when the oldest of them was created."""

    queued: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeadJob:
    """A job that used up its attempts, and its last error; `retry` or the next scheduled day requeues it."""

    id: int
    source: str
    day: date
    attempts: int
    since: datetime
    reason: str


def create_queries(connection: "asyncpg.Connection[Any]") -> Queries:
    """Return the queries of the queue on a connection."""
    return Queries(
        AsyncpgDriver(connection),
        qbe=QueryBuilderEnvironment(_NAMES),
        qbq=QueryQueueBuilder(_NAMES),
        qbs=QuerySchedulerBuilder(_NAMES),
    )


async def enqueue(connection: AsyncConnection, source: str, days: Collection[date], priority: int) -> int:
    """Enqueue days and record them as requested, in the caller's transaction; returns how many jobs were added.

    A day is in the queue at most once. A dead job starts again with all its attempts.
    """
    await request_days(connection, source, sorted(days))
    requeued = await requeue_dead(connection, source, days)
    return len(requeued) + await _add(connection, source, {str(day): day for day in set(days) - requeued}, priority)


async def enqueue_register(connection: AsyncConnection, today: date) -> int:
    """Enqueue the register, at most once; a dead job is requeued a day later. Returns how many jobs were added."""
    dead = [each for each in await dead_jobs(connection) if each.source == REGISTER]
    if not dead:
        return await _add(connection, REGISTER, {"register": today}, SCHEDULE_PRIORITY)
    if any(datetime.now(UTC) - each.since < _A_DAY for each in dead):
        return 0
    return len(await requeue_dead(connection, REGISTER))


async def _add(connection: AsyncConnection, source: str, days: Mapping[str, date], priority: int) -> int:
    """Enqueue days under unique names; returns how many were not in the queue."""
    if not days:
        return 0
    correlation_id = current_correlation_id()
    headers = {CORRELATION_HEADER: correlation_id} if correlation_id else None
    ids = await create_queries(await asyncpg_connection(connection)).enqueue(
        [source] * len(days),
        [str(day).encode() for day in days.values()],
        [priority] * len(days),
        dedupe_key=[f"{source}/{name}" for name in days],
        headers=[headers] * len(days),
        on_conflict="skip",
    )
    return sum(number is not None for number in ids)


async def requeue_dead(
    connection: AsyncConnection, source: str | None, days: Iterable[date] | None = None
) -> set[date]:
    """Requeue dead jobs (default: of all sources and days) and return their days."""
    only = None if days is None else set(days)
    chosen = [
        each
        for each in await dead_jobs(connection)
        if source in {None, each.source} and (only is None or each.day in only)
    ]
    await create_queries(await asyncpg_connection(connection)).requeue_jobs([JobId(each.id) for each in chosen])
    return {each.day for each in chosen}


async def dead_jobs(connection: AsyncConnection) -> Sequence[DeadJob]:
    """List the dead jobs."""
    return [DeadJob(**row) for row in (await connection.execute(_DEAD_JOBS)).mappings()]


async def summarize_queue(connection: AsyncConnection) -> QueueSummary:
    """Count the queued and running jobs."""
    return QueueSummary(**(await connection.execute(_COUNTS)).mappings().one())
