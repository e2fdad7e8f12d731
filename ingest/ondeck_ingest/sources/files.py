"""Files as a source: a name is a path, a unit the name of the file and the beginning of its digest."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, TypeVar

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.sources.base import RawResponse, SourceRequest, readable

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Reads files where they lie."""

    name: ClassVar[str] = "file"
    remote: ClassVar[bool] = False
    simulated: ClassVar[bool] = False

    def fetch(self, wanted: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        """Hand the bytes of the file over.

        Raises:
            SourceRefusedError: it cannot be read, or `read` refuses it.
        """
        path = Path(wanted.name)
        try:
            content = path.read_bytes()
        except OSError as unread:
            raise SourceRefusedError(f"it cannot be read ({unread.strerror})") from unread
        unit = f"{readable(path.name)} {hashlib.sha256(content).hexdigest()[:12]}"
        changed = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
        return read(RawResponse(unit=unit, content=content, fetched_at=changed))
