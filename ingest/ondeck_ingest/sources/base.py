"""What every source looks like: asked for one thing, it hands over bytes as they came. It knows no database."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar

from ondeck_core.errors import OndeckError

T = TypeVar("T")


class SourceUnreachableError(OndeckError):
    """The source gave no answer, or none that it takes for one."""


class CircuitOpenError(OndeckError):
    """The source failed again and again and is left alone for a while; nothing was sent."""


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """What is asked of a source: its name, and the game day if it is one."""

    name: str
    day: date | None = None


@dataclass(frozen=True, kw_only=True)
class RawResponse:
    """Bytes as they came; `unit` is what the ledger calls them, `fetched_at` is an aware time."""

    unit: str
    content: bytes
    fetched_at: datetime

    @property
    def sha256(self) -> str:
        """The digest under which they are kept."""
        return hashlib.sha256(self.content).hexdigest()


class Source(Protocol):
    """Where rows come from. `remote`: its bytes come over a network and are kept; `simulated`: nobody played them."""

    @property
    def name(self) -> str:
        """What the ledger calls the source."""

    @property
    def remote(self) -> bool:
        """Whether the bytes come over a network."""

    @property
    def simulated(self) -> bool:
        """Whether the rows are made up."""

    def fetch(self, wanted: SourceRequest, read: Callable[[RawResponse], T]) -> T | None:
        """Fetch what is wanted and hand it to `read`; what `read` refuses is the source's failure too.

        Returns what `read` does; None where the source knows that there is nothing.

        Raises:
            SourceUnreachableError: no answer.
            SourceRefusedError: an answer that `read` refuses.
            CircuitOpenError: it is not asked at the moment.
        """


def of_day(day: date) -> SourceRequest:
    """Want a game day."""
    return SourceRequest(name=day.isoformat(), day=day)


def readable(name: str) -> str:
    """Write the name of a file, be it no UTF-8 as old archives hold them, so that databases and people can take it."""
    return os.fsencode(name).decode(errors="replace")
