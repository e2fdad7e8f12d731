"""Ingest one request: fetch, archive, load, check; a failed day is recorded in the ledger."""

import time
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final, Protocol

import polars as pl
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import decode_cells, reject_capped
from ondeck_core.statcast.download_time import DownloadTime, bound_by_columns
from ondeck_ingest.pipeline.day_checks import update_checks
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, load_unit
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import CircuitOpenError, RawResponse, Source, SourceRequest, SourceUnreachableError
from ondeck_store.ingest.ledger import LedgerEntry, days_of, record

INGEST_ERRORS: Final = (SourceRefusedError, SourceUnreachableError, archive.ArchiveWriteError)


class OnRequest(Protocol):
    """Called after each request to a source, with its seconds and whether it was answered."""

    def __call__(self, source: str, seconds: float, *, is_answered: bool) -> None:
        """Record a request."""


def _ignore_request(source: str, seconds: float, *, is_answered: bool) -> None:
    """Record nothing."""


@dataclass(kw_only=True)
class FetchedUnit:
    """A decoded response; `cells` holds at most one frame, which `pop_cells` moves out so that it can be freed."""

    unit: str
    fetched_at: datetime | None = None
    sha256: str | None = None
    download: DownloadTime | None = None
    cells: list[pl.DataFrame] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether the response has no row."""
        return not any(cells.height for cells in self.cells)

    def pop_cells(self) -> pl.DataFrame | None:
        """Remove and return the cells."""
        return self.cells.pop() if self.cells else None


@dataclass(frozen=True, kw_only=True)
class Ingestor:
    """Ingests from one source into one database; responses of a remote source are archived under `home`.

    `replaces_newer`: older downloads replace the rows of newer ones. `on_request` gets the seconds of each request.
    """

    engine: AsyncEngine
    source: Source
    home: Path
    replaces_newer: bool = False
    on_request: OnRequest = _ignore_request

    async def ingest(self, request: SourceRequest) -> LoadCounts:
        """Ingest a day or a file; the ledger records the error of a failed day.

        Raises:
            SourceUnreachableError: no answer.
            SourceRefusedError: the answer is not a complete Statcast export.
            ArchiveWriteError: the response cannot be archived.
            CircuitOpenError: the circuit breaker of the source is open; not recorded as a failure.
        """
        if request.day is None or self.source.is_simulated:
            return await self._load(request, await self._fetch(request))
        try:
            return await self._ingest_day(request, request.day)
        except INGEST_ERRORS as refused:
            await self._record_failure(request, str(refused))
            raise

    async def _ingest_day(self, request: SourceRequest, day: date) -> LoadCounts:
        fetched = await self._fetch(request)
        if fetched.is_empty:
            await self._refuse_vanished(day)
        counts = await self._load(request, fetched)
        await update_checks(self.engine, self.source.name, day, fetched.fetched_at)
        return counts

    async def _fetch(self, request: SourceRequest) -> FetchedUnit:
        begin = time.perf_counter()
        try:
            fetched = await self.source.fetch(request, self._decode)
        except CircuitOpenError:  # nothing was requested
            raise
        except Exception:
            self.on_request(self.source.name, time.perf_counter() - begin, is_answered=False)
            raise
        self.on_request(self.source.name, time.perf_counter() - begin, is_answered=True)
        return FetchedUnit(unit=request.name) if fetched is None else fetched

    def _decode(self, raw: RawResponse) -> FetchedUnit:
        if self.source.is_remote and raw.content:
            archive.put(self.home, self.source.name, raw.unit, raw.content, raw.fetched_at)
        if self.source.is_remote and not raw.content.strip():
            return FetchedUnit(unit=raw.unit, fetched_at=raw.fetched_at)
        cells = decode_cells(raw.content)
        if self.source.is_remote:
            reject_capped(cells)
        known = DownloadTime(not_before=raw.fetched_at, not_after=raw.fetched_at)
        download = known if raw.download is None else bound_by_columns(raw.download, cells.columns)
        return FetchedUnit(
            unit=raw.unit, fetched_at=raw.fetched_at, sha256=raw.sha256, download=download, cells=[cells]
        )

    async def _load(self, request: SourceRequest, fetched: FetchedUnit) -> LoadCounts:
        source = self.source
        unit = IngestUnit(
            source=source.name,
            name=fetched.unit,
            day=request.day,
            sha256=fetched.sha256,
            simulated=source.is_simulated,
            download=fetched.download,
            replaces_newer=self.replaces_newer,
        )
        return await load_unit(self.engine, unit, fetched.pop_cells())

    async def _refuse_vanished(self, day: date) -> None:
        """Refuse an empty answer for a day that had rows before."""
        async with self.engine.connect() as connection:
            before = sum(entry.rows_in for entry in await days_of(connection, self.source.name, day, day))
        if before:
            raise SourceRefusedError(f"it has no rows, but had {before} before; the stored rows are unchanged")

    async def _record_failure(self, request: SourceRequest, reason: str) -> None:
        entry = LedgerEntry(
            source=self.source.name, unit=request.name, day=request.day, state="failed", last_error=reason
        )
        async with self.engine.begin() as connection:
            await record(connection, entry)
