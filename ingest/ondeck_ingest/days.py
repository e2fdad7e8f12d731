"""Take what is wanted from a source: fetch, keep the bytes, look at them, store; a failure is a state, not a crash."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest import archive
from ondeck_ingest.sources.content import cells_of, refuse_capped
from ondeck_ingest.sources.source import Raw, Source, UnreachableError, Wanted
from ondeck_ingest.taking import Taken, Unit, take
from ondeck_store.ledger import LedgerEntry, record

Refused: Final = (SourceRefusedError, UnreachableError)


@dataclass(frozen=True, kw_only=True)
class Read:
    """What was fetched: its bytes, and their cells if there are any."""

    raw: Raw
    cells: pl.DataFrame | None


@dataclass(frozen=True, kw_only=True)
class Taker:
    """Takes from one source into one database; bytes that came over a network are kept under `home`."""

    engine: AsyncEngine
    source: Source
    home: Path

    async def take(self, wanted: Wanted) -> Taken:
        """Take a day or a file.

        Raises:
            UnreachableError: no answer; of a day the ledger says so, with the reason.
            SourceRefusedError: the answer is not a whole Statcast export; of a day the ledger says so.
            RestingError: the source is left alone at the moment.
        """
        try:
            return await self._take(wanted)
        except Refused as refused:
            if wanted.day is not None:
                await self._failed(wanted, str(refused))
            raise

    async def _take(self, wanted: Wanted) -> Taken:
        found = await asyncio.to_thread(self.source.fetch, wanted, self._read)
        if found is None:
            return await take(self.engine, self._unit(wanted, wanted.name), None)
        kept = found.raw.sha256 if found.cells is not None else None
        return await take(self.engine, self._unit(wanted, found.raw.unit, kept), found.cells)

    def _read(self, raw: Raw) -> Read:
        if self.source.remote and raw.content:
            archive.keep(self.home, self.source.name, raw.unit, raw.content, raw.fetched_at)
        if self.source.remote and not raw.content.strip():
            return Read(raw=raw, cells=None)
        cells = cells_of(raw.content)
        if self.source.remote:
            refuse_capped(cells)
        return Read(raw=raw, cells=cells)

    def _unit(self, wanted: Wanted, name: str, sha256: str | None = None) -> Unit:
        return Unit(source=self.source.name, name=name, day=wanted.day, sha256=sha256, simulated=self.source.simulated)

    async def _failed(self, wanted: Wanted, reason: str) -> None:
        entry = LedgerEntry(
            source=self.source.name, unit=wanted.name, day=wanted.day, state="failed", last_error=reason
        )
        async with self.engine.begin() as connection:
            await record(connection, entry)
