"""Sources that read from disk: Statcast files, and the archived responses of another source."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import ClassVar, TypeVar

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError, readable
from ondeck_runtime.tasks import run_abandonable
from ondeck_store.ingest.statcast_files import read_file

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Reads files; the name of a request is a path, the unit is the file name and the start of its digest."""

    name: ClassVar[str] = "file"
    is_remote: ClassVar[bool] = False
    is_simulated: ClassVar[bool] = False

    async def fetch(self, request: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        """Read the file and pass its bytes to `read`.

        Raises:
            SourceRefusedError: the file cannot be read, or `read` refuses it.
        """
        raw = await run_abandonable(lambda: self._read_file(request))  # a pipe or a lost file system may never answer
        return await asyncio.to_thread(read, raw)

    def _read_file(self, request: SourceRequest) -> RawResponse:
        path = Path(request.name)
        content = read_file(path)
        unit = f"{readable(path.name)} {hashlib.sha256(content).hexdigest()[:12]}"
        modified_at = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
        return RawResponse(unit=unit, content=content, fetched_at=modified_at)


@dataclass(frozen=True, kw_only=True)
class ReplaySource:
    """Replays the archived responses of the source `name` under `home`."""

    home: Path
    name: str
    is_remote: ClassVar[bool] = False
    is_simulated: ClassVar[bool] = False

    async def fetch(self, request: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        """Pass the newest archived response to `read`; if `read` refuses it, the one before, and so on.

        Responses without rows come last, so that they never replace one with rows.

        Raises:
            SourceUnreachableError: the archive has no response.
            SourceRefusedError: no archived response is readable; the text is about the newest.
        """
        return await asyncio.to_thread(self._read_versions, request, read)

    def _read_versions(self, request: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        refused: SourceRefusedError | None = None
        versions = archive.list_versions(self.home, self.name, request.name)
        for is_empty, version in product((False, True), versions):
            try:
                content = archive.read_version(version.path)
                if _has_only_header(content) == is_empty:
                    return read(RawResponse(unit=request.name, content=content, fetched_at=version.fetched_at))
            except SourceRefusedError as failed:
                refused = refused or failed
        raise refused or SourceUnreachableError(
            f"the archive in {self.home / 'raw'} has no response for {self.name} {request.name}"
        )


def _has_only_header(content: bytes) -> bool:
    return b"\n" not in content.strip()
