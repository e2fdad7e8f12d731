"""Jobs that any number of workers share, a day or a look at the register each: queued, counted, given up, tried again.

The queue is pgqueuer's; nothing else here knows its tables.
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

from ondeck_store.copy import driver_of
from ondeck_store.ingest.ledger import want

CHANNEL: Final = Channel("ingest_ch_pgqueuer")
SCHEDULED: Final = 10
CORRECTION: Final = 5
BACKFILL: Final = 0
REGISTER: Final = "chadwick"

# Each name is given, so that no variable of the environment can change one.
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
_GIVEN_UP: Final = text("""
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
    """How many jobs wait or run, and since when the oldest of them has been in the queue."""

    queued: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeadJob:
    """A job that failed too often, and why; it waits for `retry`, or for the next daily look."""

    id: int
    source: str
    day: date
    attempts: int
    since: datetime
    reason: str


def queries_on(connection: "asyncpg.Connection[Any]") -> Queries:
    """Speak to the queue over one connection."""
    return Queries(
        AsyncpgDriver(connection),
        qbe=QueryBuilderEnvironment(_NAMES),
        qbq=QueryQueueBuilder(_NAMES),
        qbs=QuerySchedulerBuilder(_NAMES),
    )


async def enqueue(connection: AsyncConnection, source: str, days: Collection[date], priority: int) -> int:
    """Put days into the queue and the ledger, in the caller's transaction; returns for how many that was news.

    A day is in the queue once. One that was given up gets its attempts back.
    """
    await want(connection, source, sorted(days))
    revived = await retry(connection, source, days)
    return len(revived) + await _put(connection, source, {str(day): day for day in set(days) - revived}, priority)


async def enqueue_register(connection: AsyncConnection, today: date) -> int:
    """Put a look at the register into the queue, once; one that was given up is tried again a day later."""
    hopeless = [each for each in await given_up(connection) if each.source == REGISTER]
    if not hopeless:
        return await _put(connection, REGISTER, {"register": today}, SCHEDULED)
    if any(datetime.now(UTC) - each.since < _A_DAY for each in hopeless):
        return 0
    return len(await retry(connection, REGISTER))


async def _put(connection: AsyncConnection, source: str, days: Mapping[str, date], priority: int) -> int:
    """Queue days under names that are in the queue once."""
    if not days:
        return 0
    ids = await queries_on(await driver_of(connection)).enqueue(
        [source] * len(days),
        [str(day).encode() for day in days.values()],
        [priority] * len(days),
        dedupe_key=[f"{source}/{name}" for name in days],
        on_conflict="skip",
    )
    return sum(number is not None for number in ids)


async def retry(connection: AsyncConnection, source: str | None, days: Iterable[date] | None = None) -> set[date]:
    """Put what was given up (default: all of all sources) into the queue again; tells the days."""
    meant = None if days is None else set(days)
    chosen = [each for each in await given_up(connection) if source in {None, each.source} and _is_in(meant, each.day)]
    await queries_on(await driver_of(connection)).requeue_jobs([JobId(each.id) for each in chosen])
    return {each.day for each in chosen}


async def given_up(connection: AsyncConnection) -> Sequence[DeadJob]:
    """List the jobs that were given up."""
    return [DeadJob(**row) for row in (await connection.execute(_GIVEN_UP)).mappings()]


async def backlog_of(connection: AsyncConnection) -> QueueSummary:
    """Count what waits and what runs."""
    return QueueSummary(**(await connection.execute(_COUNTS)).mappings().one())


def _is_in(meant: set[date] | None, day: date) -> bool:
    return meant is None or day in meant
