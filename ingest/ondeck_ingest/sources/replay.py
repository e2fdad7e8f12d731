"""The archive as a source: what once came over the network, again and without it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar, TypeVar

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ReplaySource:
    """Plays back what is kept of the source `name` under `home`."""

    home: Path
    name: str
    remote: ClassVar[bool] = False
    simulated: ClassVar[bool] = False

    def fetch(self, wanted: SourceRequest, read: Callable[[RawResponse], T]) -> T:
        """Hand over what came last; if `read` refuses that, what came before it, and so on.

        An answer without rows takes nothing away from one that had some, as when it came.

        Raises:
            SourceUnreachableError: nothing is kept.
            SourceRefusedError: nothing that is kept can be read; the text is about what came last.
        """
        refused: SourceRefusedError | None = None
        answers = archive.kept(self.home, self.name, wanted.name)
        for without_rows, each in product((False, True), answers):
            try:
                content = archive.read_back(each.path)
                if _is_a_line(content) == without_rows:
                    return read(RawResponse(unit=wanted.name, content=content, fetched_at=each.fetched_at))
            except SourceRefusedError as unread:
                refused = refused or unread
        raise refused or SourceUnreachableError(f"nothing is kept of {self.name} {wanted.name} in {self.home / 'raw'}")


def _is_a_line(content: bytes) -> bool:
    return b"\n" not in content.strip()
