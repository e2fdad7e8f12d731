"""The Chadwick register: fetched through pybaseball, archived as it came, and loaded."""

import asyncio
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.register.load import group_by_kind, load_registers, read_tables
from ondeck_ingest.settings import IngestSettings
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import SourceUnreachableError
from ondeck_ingest.sources.pybaseball_request import RequestRecorder, patch_modules, record_request, send
from ondeck_store.players.register_merge import RegisterCounts

NAME: Final = "chadwick"


@dataclass(frozen=True, kw_only=True)
class ChadwickSource:
    """Fetches the register, a ZIP archive at `url`; `timeout` in seconds."""

    url: str
    timeout: float

    async def fetch(self) -> bytes:
        """Fetch the archive.

        Raises:
            SourceUnreachableError: no answer, or an error.
        """
        url = await asyncio.to_thread(register_url, self.url)
        if url is None:
            raise SourceUnreachableError("pybaseball has requested no register")
        return await send(url, self.timeout)


def register_url(url: str) -> str | None:
    """Return the URL that pybaseball requests for the register at `url`; None if it requests nothing."""
    with _patched_register(RequestRecorder(), url) as chadwick_register:
        return record_request(chadwick_register)


@contextmanager
def _patched_register(session: RequestRecorder, url: str) -> Iterator[Any]:
    """Yield pybaseball's `chadwick_register`, sending its request to `url` over `session`, without its cache."""
    import pybaseball  # noqa: F401, PLC0415  takes a second, and only this source needs it

    lookup: Any = sys.modules["pybaseball.playerid_lookup"]  # the package has a function of that name, too
    patch = (lookup, {"requests": session, "url": url, "get_register_file": lambda: ""})
    with patch_modules(patch), redirect_stdout(io.StringIO()):
        yield lookup.chadwick_register


@dataclass(frozen=True, kw_only=True)
class RegisterRefresher:
    """Fetches the register into one database and archives the response under `home`."""

    engine: AsyncEngine
    chadwick: ChadwickSource
    home: Path

    async def refresh(self) -> dict[str, RegisterCounts]:
        """Fetch and load the register in one transaction; returns the counts by kind.

        Raises:
            SourceUnreachableError: no answer.
            SourceRefusedError: the answer is no register.
        """
        content = await self.chadwick.fetch()
        tables = await asyncio.to_thread(self._read, content)
        async with self.engine.begin() as connection:
            return await load_registers(connection, tables)

    def _read(self, content: bytes) -> dict[str, pl.DataFrame]:
        archive.put(self.home, NAME, datetime.now(UTC).date().isoformat(), content)
        return group_by_kind(read_tables(content, NAME))


def create_refresher(settings: IngestSettings, engine: AsyncEngine) -> RegisterRefresher:
    """Make a refresher for the configured register."""
    chadwick = ChadwickSource(url=settings.chadwick_url, timeout=settings.savant_timeout)
    return RegisterRefresher(engine=engine, chadwick=chadwick, home=settings.home)
