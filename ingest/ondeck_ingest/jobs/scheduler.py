"""The schedule: looks at the calendar and the ledger, and puts what is due into the queue."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ondeck_ingest.jobs.calendar import DayStatus, due_days, newest_day, season_from
from ondeck_ingest.jobs.queue import CORRECTION, SCHEDULED, enqueue, enqueue_register, given_up
from ondeck_store.ingest.ledger import days_of
from ondeck_store.players.unresolved import unresolved

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """Wants the last days of a source, again those that may still be corrected, and the register for unknown players.

    `now` tells the time.
    """

    engine: AsyncEngine
    source: str
    lookback_days: int
    refetch_days: int
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    async def look(self) -> list[date]:
        """Put the days that are due into the queue; returns them. Looking twice, or at once with others, adds none."""
        async with self.engine.begin() as connection:
            known = await self._known(connection)
            due = due_days(self.now(), self.lookback_days, self.refetch_days, known)
            got = {day for day in due if day in known and known[day].got}
            added = await enqueue(connection, self.source, set(due) - got, SCHEDULED)
            added += await enqueue(connection, self.source, got, CORRECTION)
            await self._ask_who_is_unknown(connection)
        if due:
            log.info("calendar", due=len(due), again=len(got), added=added)
        else:
            log.info("nothing is due", next_day_in_season=str(season_from(self.now().date())))
        return due

    async def _ask_who_is_unknown(self, connection: AsyncConnection) -> None:
        men = await unresolved(connection, due_by=self.now())
        if men and await enqueue_register(connection, self.now().date()):
            log.info("players known by id alone", count=len(men), register="asked for them")

    async def _known(self, connection: AsyncConnection) -> dict[date, DayStatus]:
        newest = newest_day(self.now())
        oldest = newest - timedelta(days=max(self.lookback_days, self.refetch_days))
        hopeless = {each.day for each in await given_up(connection) if each.source == self.source}
        return {
            entry.day: DayStatus(
                got=entry.state in {"done", "empty"},
                tried_at=entry.updated_at if entry.attempts else None,
                given_up=entry.day in hopeless,
            )
            for entry in await days_of(connection, self.source, oldest, newest)
            if entry.day is not None
        }
