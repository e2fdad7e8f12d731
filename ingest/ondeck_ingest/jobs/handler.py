"""One job of the queue: worked on, ended or put back; tried again later, or given up with its reason."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import structlog
from pgqueuer import Job, RetryRequested

from ondeck_core.errors import OndeckError
from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.tasks import wait_first

FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=6)
GRACE_SECONDS: Final = 8.0

log = structlog.get_logger()


class JobDeadError(OndeckError):
    """A job failed too often; it waits for `ondeck ingest retry`, or for the next daily look at the calendar."""


@dataclass(frozen=True, kw_only=True)
class JobHandler:
    """Handles the jobs of one kind; `work` does what is to be done for a day, and `thing` is what it takes.

    A job is never cancelled, since that would take it out of the queue: it ends, or goes back when `ending` is set.
    """

    thing: str
    work: Callable[[date], Coroutine[Any, Any, object]]
    attempts: int
    ending: asyncio.Event
    pause_after: Callable[[int], timedelta]

    async def handle(self, job: Job) -> None:
        """Do what a job asks for.

        Raises:
            RetryRequested: it failed, or there is no time left; the queue brings it back.
            JobDeadError: it failed too often; the queue holds it.
        """
        day = date.fromisoformat((job.payload or b"").decode())
        work = asyncio.create_task(self.work(day))
        await wait_first(work, self.ending)
        if not work.done():
            await asyncio.wait({work}, timeout=GRACE_SECONDS)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise RetryRequested(reason="the worker stops")
        self._conclude(day, job.attempts + 1, work)

    def _conclude(self, day: date, tries: int, work: "asyncio.Task[object]") -> None:
        failed = work.exception()
        if failed is None:
            log.info(self._event("taken"), day=str(day), rows=str(work.result()))
            return
        reason = in_words(failed)
        if tries >= self.attempts:
            log.error(self._event("given up"), day=str(day), attempts=tries, reason=reason)
            raise JobDeadError(reason) from failed
        pause = self.pause_after(tries)
        next_try = (datetime.now(UTC) + pause).isoformat(timespec="seconds")
        log.warning(self._event("not taken"), day=str(day), attempt=tries, reason=reason, next_try=next_try)
        raise RetryRequested(delay=pause, reason=reason) from failed

    def _event(self, what: str) -> str:
        return f"{self.thing} {what}"


def pause_after(failures: int) -> timedelta:
    """Return the delay before a job is tried again that failed so many times in a row."""
    seconds = backoff_seconds(failures, first=FIRST_PAUSE.total_seconds(), longest=LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds)


def in_words(failed: BaseException) -> str:
    """Say what failed in a line: what Ondeck refuses speaks for itself, all else is named."""
    line = next(iter(str(failed).splitlines()), "")
    return line if isinstance(failed, OndeckError) else f"{type(failed).__name__}: {line}"
