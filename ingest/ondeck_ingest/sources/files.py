"""Sources that read from disk: Statcast files, and the archived responses of another source."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.download_time import EARLIEST, DownloadTime
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError, readable
from ondeck_runtime.tasks import run_abandonable
from ondeck_store.ingest.statcast_files import read_file

_GZIP: Final = b"\x1f\x8b"
_GZIP_TIME: Final = slice(4, 8)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Reads files; the name of a request is a path, the unit is the file name and the start of its digest.

    `downloaded_at` states when all of them were downloaded; otherwise a file was so before it was last changed, or
    compressed.
    """

    downloaded_at: datetime | None = None

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
        download = self._download(content, modified_at)
        return RawResponse(unit=unit, content=content, fetched_at=modified_at, download=download)

    def _download(self, content: bytes, modified_at: datetime) -> DownloadTime:
        if self.downloaded_at is not None:
            return DownloadTime(not_before=self.downloaded_at, not_after=self.downloaded_at)
        now = datetime.now(UTC)
        return DownloadTime(not_before=EARLIEST, not_after=min(now, modified_at, *_compressed_at(content)))


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


def _compressed_at(content: bytes) -> Iterator[datetime]:
    """Yield the time of the file that a gzip or ZIP file holds; a ZIP file has local time, without a zone."""
    if content.startswith(_GZIP):
        seconds = int.from_bytes(content[_GZIP_TIME], "little")
        if seconds:
            yield datetime.fromtimestamp(seconds, tz=UTC)
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                with suppress(ValueError):  # a month or a day that does not exist
                    yield datetime(*member.date_time, tzinfo=UTC) + timedelta(days=1)


def _has_only_header(content: bytes) -> bool:
    return b"\n" not in content.strip()
