"""Take days from Savant: fetch, keep the bytes, look at them, store; a failure is a state, not a crash."""

import asyncio
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest import archive
from ondeck_ingest.sources.content import cells_of, refuse_capped
from ondeck_ingest.sources.savant import Savant, SavantUnreachableError
from ondeck_ingest.taking import Taken, Unit, take
from ondeck_store.ledger import LedgerEntry, record

SOURCE = "savant"
Refused = (SourceRefusedError, SavantUnreachableError)


@dataclass(frozen=True, kw_only=True)
class DayTaker:
    """Takes days of one Savant into one database; raw bytes are kept under `home`."""

    engine: AsyncEngine
    savant: Savant
    home: Path

    async def take_day(self, day: date) -> Taken:
        """Take one day.

        Raises:
            SavantUnreachableError: no answer; the ledger says so, with the reason.
            SourceRefusedError: the answer is not a whole Statcast export; the ledger says so, with the reason.
        """
        try:
            return await self._take(day)
        except Refused as refused:
            entry = LedgerEntry(source=SOURCE, unit=day.isoformat(), day=day, state="failed", last_error=str(refused))
            async with self.engine.begin() as connection:
                await record(connection, entry)
            raise

    async def _take(self, day: date) -> Taken:
        content = await asyncio.to_thread(self.savant.fetch, day)
        unit = Unit(source=SOURCE, name=day.isoformat(), day=day)
        if content is None or not content.strip():
            return await take(self.engine, unit, None)
        sha256 = await asyncio.to_thread(archive.keep, self.home, SOURCE, day.isoformat(), content)
        cells = await asyncio.to_thread(cells_of, content)
        refuse_capped(cells)
        return await take(self.engine, replace(unit, sha256=sha256), cells)
