"""Writes the sample of served predictions to the database, in batches; no call waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.redaction import redact
from ondeck_runtime.tasks import background
from ondeck_server.inference.served_predictions import PredictionSample, SampledRows, stored_rows
from ondeck_server.settings import ServerSettings

if TYPE_CHECKING:
    from ondeck_store.connection import Connection

WRITE_ROWS: Final = 256  # of one batch: a few milliseconds of the event loop
WRITE_INTERVAL_SECONDS: Final = 0.5
WRITE_TIMEOUT_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_PARTITIONS_RETRY_SECONDS: Final = 300.0
_END_SECONDS: Final = 1.0  # for the rows that wait when the worker stops

log = structlog.get_logger()


@dataclass(kw_only=True)
class SampleWriter:
    """Writes what a sample has queued, over one connection that is opened again after a failure."""

    sample: PredictionSample
    settings: ServerSettings
    _partitions: set[date] = field(default_factory=set)
    _checked_on: date | None = None
    _retry_at: float = 0.0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Write in the background within the block, then what is left."""
        async with background(self._repeat()):
            yield
            await self._wait_written()

    async def _repeat(self) -> None:
        failures = 0
        while True:
            try:
                async for _ in self._write_connected():
                    failures = 0
            except Exception as failed:  # noqa: BLE001  of the database, its driver, its server or the disk
                failures += 1
                reason = redact(next(iter(str(failed).splitlines()), "") or type(failed).__name__)
                pause = backoff_seconds(failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
                log.warning("served_predictions_failed", detail="predictions are not recorded", reason=reason)
                await asyncio.sleep(pause)

    async def _write_connected(self) -> AsyncIterator[None]:
        """Connect, and yield after each batch; ends with an error."""
        from ondeck_store.connection import connect_migrated  # noqa: PLC0415  a server that samples nothing needs no driver

        async with connect_migrated(self.settings) as connection:
            while True:
                await asyncio.sleep(0 if self.sample.waiting_rows >= WRITE_ROWS else WRITE_INTERVAL_SECONDS)
                async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                    await self._update_partitions(connection)
                    await self._write(connection)
                yield

    async def _write(self, connection: "Connection") -> None:
        from ondeck_store.served_predictions.writes import write_served  # noqa: PLC0415  as above

        taken = self.sample.take(WRITE_ROWS)
        rows = [row for each in taken for row in stored_rows(each) if row.served_at.date() in self._partitions]
        try:
            if rows:
                await write_served(connection, rows)
        except BaseException:
            self.sample.count_failed(_count(taken))
            raise
        self.sample.count_written(len(rows))
        self.sample.count_failed(_count(taken) - len(rows))

    async def _update_partitions(self, connection: "Connection") -> None:
        """Create and drop partitions, once a day; without success write to those that were created before."""
        from ondeck_store.served_predictions.writes import update_or_read_partitions  # noqa: PLC0415  as above

        today, now = datetime.now(UTC).date(), asyncio.get_running_loop().time()
        if self._checked_on == today or now < self._retry_at:
            return
        retention = self.settings.served_retention_days
        self._partitions, failed = await update_or_read_partitions(connection, today, retention)
        if failed:
            self._retry_at = now + _PARTITIONS_RETRY_SECONDS
            log.warning("partitions_not_updated", detail="of served predictions", reason=redact(failed))
        else:
            self._checked_on = today

    async def _wait_written(self) -> None:
        """Wait a moment until the queue is empty, and count what is left."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _END_SECONDS
        while self.sample.waiting_rows and loop.time() < end:  # noqa: ASYNC110  calls set no event, to be fast
            await asyncio.sleep(WRITE_INTERVAL_SECONDS / 10)
        self.sample.count_failed(_count(self.sample.take(self.sample.waiting_rows)))


def _count(taken: list[SampledRows]) -> int:
    return sum(map(len, taken))


def has_database(settings: ServerSettings) -> bool:
    """Return whether predictions can be recorded: a database is configured, or the home folder has an embedded one."""
    from ondeck_store.embedded.shared_server import has_database as has_embedded  # noqa: PLC0415  only if sampling is on

    return settings.database_url is not None or has_embedded(Path(settings.home))
