"""Take what is wanted from a source: fetch, keep the bytes, look at them, store; a failure is a state, not a crash."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import cells_of, refuse_capped
from ondeck_ingest.pipeline.follow_up import follow_up
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, take
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import RawResponse, Source, SourceRequest, SourceUnreachableError
from ondeck_store.ingest.ledger import LedgerEntry, days_of, record

INGEST_ERRORS: Final = (SourceRefusedError, SourceUnreachableError, archive.ArchiveWriteError)


@dataclass(kw_only=True)
class FetchedUnit:
    """What was read of an answer; the cells can be had once, since they weigh more than all that is made of them."""

    unit: str
    fetched_at: datetime | None = None
    sha256: str | None = None
    cells: list[pl.DataFrame] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is not one row."""
        return not any(cells.height for cells in self.cells)

    def hand_over(self) -> pl.DataFrame | None:
        """Give the cells away."""
        return self.cells.pop() if self.cells else None


@dataclass(frozen=True, kw_only=True)
class Ingestor:
    """Takes from one source into one database; bytes that came over a network are kept under `home`."""

    engine: AsyncEngine
    source: Source
    home: Path

    async def take(self, wanted: SourceRequest) -> LoadCounts:
        """Take a day or a file.

        Raises:
            SourceUnreachableError: no answer; of a day the ledger says so, with the reason.
            SourceRefusedError: the answer is not a whole Statcast export; of a day the ledger says so.
            ArchiveWriteError: the bytes cannot be kept; of a day the ledger says so.
            CircuitOpenError: the source is left alone at the moment.
        """
        if wanted.day is None or self.source.simulated:
            return await self._store(wanted, await self._fetch(wanted))
        try:
            return await self._take_day(wanted, wanted.day)
        except INGEST_ERRORS as refused:
            await self._note_failure(wanted, str(refused))
            raise

    async def _take_day(self, wanted: SourceRequest, day: date) -> LoadCounts:
        read = await self._fetch(wanted)
        if read.is_empty:
            await self._refuse_vanished(day)
        taken = await self._store(wanted, read)
        await follow_up(self.engine, self.source.name, day, read.fetched_at)
        return taken

    async def _fetch(self, wanted: SourceRequest) -> FetchedUnit:
        read = await asyncio.to_thread(self.source.fetch, wanted, self._read)
        return FetchedUnit(unit=wanted.name) if read is None else read

    async def _store(self, wanted: SourceRequest, read: FetchedUnit) -> LoadCounts:
        source = self.source
        unit = IngestUnit(
            source=source.name, name=read.unit, day=wanted.day, sha256=read.sha256, simulated=source.simulated
        )
        return await take(self.engine, unit, read.hand_over())

    def _read(self, raw: RawResponse) -> FetchedUnit:
        if self.source.remote and raw.content:
            archive.keep(self.home, self.source.name, raw.unit, raw.content, raw.fetched_at)
        if self.source.remote and not raw.content.strip():
            return FetchedUnit(unit=raw.unit, fetched_at=raw.fetched_at)
        cells = cells_of(raw.content)
        if self.source.remote:
            refuse_capped(cells)
        return FetchedUnit(unit=raw.unit, fetched_at=raw.fetched_at, sha256=raw.sha256, cells=[cells])

    async def _refuse_vanished(self, day: date) -> None:
        """Refuse an answer without rows to a question that once had some."""
        async with self.engine.connect() as connection:
            before = sum(entry.rows_in for entry in await days_of(connection, self.source.name, day, day))
        if before:
            raise SourceRefusedError(f"it has no rows, where {before} came before; those are left as they are")

    async def _note_failure(self, wanted: SourceRequest, reason: str) -> None:
        entry = LedgerEntry(
            source=self.source.name, unit=wanted.name, day=wanted.day, state="failed", last_error=reason
        )
        async with self.engine.begin() as connection:
            await record(connection, entry)
