"""The Chadwick register, fetched, kept as it came, and taken."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.register.chadwick import ChadwickSource
from ondeck_ingest.register.files import by_kind, tables_of
from ondeck_ingest.register.load import take
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources.archive import keep
from ondeck_store.players.register_merge import RegisterCounts

NAME: Final = "chadwick"


@dataclass(frozen=True, kw_only=True)
class RegisterRefresher:
    """Takes what is new in the register into one database; what came is kept under `home`."""

    engine: AsyncEngine
    chadwick: ChadwickSource
    home: Path

    async def refresh(self) -> dict[str, RegisterCounts]:
        """Fetch the register and take it, all or nothing.

        Raises:
            RegisterUnreachableError: no answer.
            SourceRefusedError: an answer that is no register.
        """
        content = await asyncio.to_thread(self._fetch)
        tables = await asyncio.to_thread(lambda: by_kind(tables_of(content, NAME)))
        async with self.engine.begin() as connection:
            return await take(connection, tables)

    def _fetch(self) -> bytes:
        content = self.chadwick.fetch()
        keep(self.home, NAME, datetime.now(UTC).date().isoformat(), content)
        return content


def refresher_of(settings: IngestSettings, engine: AsyncEngine) -> RegisterRefresher:
    """Make what takes the register that the settings name."""
    chadwick = ChadwickSource(url=settings.chadwick_url, timeout=settings.savant_timeout)
    return RegisterRefresher(engine=engine, chadwick=chadwick, home=settings.home)
