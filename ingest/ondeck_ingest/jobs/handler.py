"""Handle one job of the queue: run it to its end, or retry it later, or declare it dead after its last attempt."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NoReturn

import structlog
from pgqueuer import Job, RetryRequested

from ondeck_core.errors import OndeckError
from ondeck_ingest.jobs.queue import CORRELATION_HEADER
from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.correlation import CorrelatedRun, correlated
from ondeck_runtime.redaction import redact
from ondeck_runtime.tasks import wait_first
from ondeck_runtime.tracing import traced_job

FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=6)
GRACE_SECONDS: Final = 0.5  # for a job that is about to end; it can be repeated

log = structlog.get_logger()


class JobDeadError(OndeckError):
    """A job used up its attempts; `ondeck ingest retry` or the next scheduled day requeues it."""


@dataclass(frozen=True, kw_only=True)
class JobHandler:
    """Handles the jobs of one kind, "day" or "register"; `work` does the job of a day, `count` counts results.

    A job is never cancelled, which would remove it from the queue: it ends, or is requeued when `stopping` is set.
    """

    kind: str
    work: Callable[[date], Coroutine[Any, Any, object]]
    attempts: int
    stopping: asyncio.Event
    pause_after: Callable[[int], timedelta]
    count: Callable[[str, str], None]

    async def handle(self, job: Job) -> None:
        """Do a job.

        Raises:
            RetryRequested: the job failed, or the worker stops; the queue retries it.
            JobDeadError: the last attempt failed; the queue keeps the job as failed.
        """
        correlation_id = str((job.headers or {}).get(CORRELATION_HEADER, ""))
        with correlated(correlation_id) as run, traced_job(run, f"job {self.kind}"):
            await self._run(job, run)

    async def _run(self, job: Job, run: CorrelatedRun) -> None:
        day, started_at = date.fromisoformat((job.payload or b"").decode()), time.perf_counter()
        work = asyncio.create_task(self.work(day))
        await wait_first(work, self.stopping)
        if not work.done():
            await asyncio.wait({work}, timeout=GRACE_SECONDS)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise RetryRequested(reason="the worker stops")
        seconds, database = round(time.perf_counter() - started_at, 3), round(run.database_seconds, 3)
        if (failed := work.exception()) is not None:
            self._raise_failure(day, job.attempts + 1, failed)
        self.count(self.kind, "succeeded")
        rows = str(work.result())
        log.info("job_succeeded", job=self.kind, day=str(day), rows=rows, seconds=seconds, database=database)

    def _raise_failure(self, day: date, attempt: int, failed: BaseException) -> NoReturn:
        reason = describe_error(failed)
        if attempt >= self.attempts:
            self.count(self.kind, "dead")
            log.error("job_dead", job=self.kind, day=str(day), attempts=attempt, reason=reason)
            raise JobDeadError(reason) from failed
        self.count(self.kind, "failed")
        pause = self.pause_after(attempt)
        next_try = (datetime.now(UTC) + pause).isoformat(timespec="seconds")
        log.warning("job_failed", job=self.kind, day=str(day), attempt=attempt, reason=reason, next_try=next_try)
        raise RetryRequested(delay=pause, reason=reason) from failed


def pause_after(failures: int) -> timedelta:
    """Return the pause after so many failures in a row: a minute, doubled with each, at most six hours."""
    seconds = backoff_seconds(failures, first=FIRST_PAUSE.total_seconds(), longest=LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds)


def describe_error(failed: BaseException) -> str:
    """Return the first line of an error, redacted; errors of other libraries are prefixed with their class."""
    line = redact(next(iter(str(failed).splitlines()), ""))
    return line if isinstance(failed, OndeckError) else f"{type(failed).__name__}: {line}"
