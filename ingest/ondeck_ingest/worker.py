"""The worker: keeps the last days complete, for ever. Savant out of reach is reported and tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.calendar import season_from, wanted_days
from ondeck_ingest.days import Refused
from ondeck_ingest.sources.savant import NAME
from ondeck_ingest.sources.source import RestingError, Wanted, of_day
from ondeck_ingest.taking import Taken
from ondeck_store.ledger import days_done

FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=6)

log = structlog.get_logger()


@dataclass(kw_only=True)
class Worker:
    """Follows the calendar; `take` is how a day is taken, `now` tells the time."""

    engine: AsyncEngine
    take: Callable[[Wanted], Awaitable[Taken]]
    lookback_days: int
    poll_seconds: float
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    failures: dict[date, int] = field(default_factory=dict)
    next_try: dict[date, datetime] = field(default_factory=dict)

    async def run(self) -> None:
        """Look at the calendar again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self.poll_seconds)

    async def look(self) -> None:
        """Take every day that is wanted, not done and due, oldest first."""
        wanted = wanted_days(self.now(), self.lookback_days)
        if not wanted:
            log.info("no games now", next_look_in_season=str(season_from(self.now().date())))
            return
        async with self.engine.connect() as connection:
            done = await days_done(connection, NAME, wanted[0], wanted[-1])
        missing = [day for day in wanted if day not in done]
        log.info("calendar", wanted=len(wanted), missing=len(missing))
        for day in missing:
            if self.next_try.get(day, self.now()) <= self.now():
                await self._try(day)

    async def _try(self, day: date) -> None:
        try:
            taken = await self.take(of_day(day))
        except (*Refused, RestingError) as refused:
            self.failures[day] = self.failures.get(day, 0) + 1
            self.next_try[day] = self.now() + pause_after(self.failures[day])
            log.warning("day not taken", day=str(day), reason=str(refused), next_try=self.next_try[day].isoformat())
        else:
            self.failures.pop(day, None)
            self.next_try.pop(day, None)
            log.info("day taken", day=str(day), rows=str(taken))


def pause_after(failures: int) -> timedelta:
    """Tell how long to leave a day alone that failed so many times in a row: a minute, doubled, six hours at most."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(failures - 1, 20)))
