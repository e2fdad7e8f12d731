"""The schedule: which game days are due by the calendar and the ledger, and their jobs in the queue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ondeck_ingest.jobs.queue import REFETCH_PRIORITY, SCHEDULE_PRIORITY, dead_jobs, enqueue, enqueue_register
from ondeck_store.ingest.ledger import days_of
from ondeck_store.players.register_gaps import list_unresolved

EASTERN: Final = ZoneInfo("America/New_York")
DAY_END: Final = timedelta(hours=9)  # a game day ends at nine the next morning, Eastern time
SEASON_START: Final = (2, 20)  # spring training
SEASON_END: Final = (11, 10)  # the latest World Series
_A_DAY: Final = timedelta(days=1)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class DayStatus:
    """The state of a day: whether it is ingested, when it was last attempted, whether its job is dead."""

    is_ingested: bool
    attempted_at: datetime | None = None
    is_dead: bool = False


def newest_day(now: datetime) -> date:
    """Return the newest game day that is over.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a time without a zone has no day")
    return (now.astimezone(EASTERN) - DAY_END).date() - _A_DAY


def due_days(now: datetime, lookback_days: int, refetch_days: int, known: Mapping[date, DayStatus]) -> list[date]:
    """List the days to fetch now, oldest first.

    A day of the look-back is due until it has been ingested after its end; once a day if its job is dead. An ingested
    day of the refetch window is due again once a day.
    """
    newest = newest_day(now)
    due = {day for day in season_days(now, lookback_days) if not _is_final(day, known.get(day))}
    due |= {day for day in season_days(now, refetch_days) if day in known and known[day].is_ingested}
    return sorted(day for day in due if day not in known or _is_due(known[day], newest))


def _is_final(day: date, known: DayStatus | None) -> bool:
    if known is None or not known.is_ingested:
        return False
    return known.attempted_at is None or day <= newest_day(known.attempted_at)


def _is_due(known: DayStatus, newest: date) -> bool:
    if known.attempted_at is None or not (known.is_ingested or known.is_dead):
        return True
    return newest_day(known.attempted_at) < newest


def season_days(now: datetime, lookback_days: int) -> list[date]:
    """List the days in season among the last days that are over, oldest first.

    Raises:
        ValueError: `now` has no time zone.
    """
    newest = newest_day(now)
    days = (newest - back * _A_DAY for back in range(lookback_days))
    return sorted(day for day in days if is_in_season(day))


def is_in_season(day: date) -> bool:
    """Return whether games may be played on a day."""
    return SEASON_START <= (day.month, day.day) <= SEASON_END


def next_season_day(day: date) -> date:
    """Return the first day on or after `day` on which games may be played."""
    if is_in_season(day):
        return day
    opening = date(day.year, *SEASON_START)
    return opening if day <= opening else date(day.year + 1, *SEASON_START)


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """Enqueues the due days of a source, and the register while players are unresolved; `now` is the clock."""

    engine: AsyncEngine
    source: str
    lookback_days: int
    refetch_days: int
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    async def enqueue_due(self) -> list[date]:
        """Enqueue the due days and return them; idempotent, also beside other schedulers."""
        async with self.engine.begin() as connection:
            known = await self._read_status(connection)
            due = due_days(self.now(), self.lookback_days, self.refetch_days, known)
            ingested = {day for day in due if day in known and known[day].is_ingested}
            added = await enqueue(connection, self.source, set(due) - ingested, SCHEDULE_PRIORITY)
            added += await enqueue(connection, self.source, ingested, REFETCH_PRIORITY)
            await self._enqueue_register(connection)
        if due:
            log.info("schedule_updated", due=len(due), refetched=len(ingested), added=added)
        else:
            log.info("schedule_idle", next_season_day=str(next_season_day(self.now().date())))
        return due

    async def _enqueue_register(self, connection: AsyncConnection) -> None:
        players = await list_unresolved(connection, due_by=self.now())
        if players and await enqueue_register(connection, self.now().date()):
            log.info("register_enqueued", unresolved_players=len(players))

    async def _read_status(self, connection: AsyncConnection) -> dict[date, DayStatus]:
        newest = newest_day(self.now())
        oldest = newest - timedelta(days=max(self.lookback_days, self.refetch_days))
        dead = {each.day for each in await dead_jobs(connection) if each.source == self.source}
        return {
            entry.day: DayStatus(
                is_ingested=entry.state in {"done", "empty", "reverted"},
                attempted_at=entry.updated_at if entry.attempts else None,
                is_dead=entry.day in dead,
            )
            for entry in await days_of(connection, self.source, oldest, newest)
            if entry.day is not None
        }
