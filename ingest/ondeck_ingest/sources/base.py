"""The interface of every source: a request goes in, raw bytes come out; a source has no database."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar

from ondeck_core.errors import OndeckError
from ondeck_core.statcast.download_time import DownloadTime

T = TypeVar("T")


class SourceUnreachableError(OndeckError):
    """The source returned no answer, or an error."""


class CircuitOpenError(OndeckError):
    """The circuit breaker of the source is open after repeated failures; no request was sent."""


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """One thing to fetch: its name in the source, and its game day if it is one."""

    name: str
    day: date | None = None


@dataclass(frozen=True, kw_only=True)
class RawResponse:
    """Bytes as they came; `unit` is the key of the ledger, `fetched_at` is timezone-aware.

    `download` is when a file was downloaded, as far as it is known; None: at `fetched_at`.
    """

    unit: str
    content: bytes
    fetched_at: datetime
    download: DownloadTime | None = None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, its key in the archive."""
        return hashlib.sha256(self.content).hexdigest()


class Source(Protocol):
    """Where rows come from."""

    @property
    def name(self) -> str:
        """The name of the source in the ledger."""

    @property
    def is_remote(self) -> bool:
        """Whether the bytes come over a network and are archived."""

    @property
    def is_simulated(self) -> bool:
        """Whether the rows come from the simulator."""

    async def fetch(self, request: SourceRequest, read: Callable[[RawResponse], T]) -> T | None:
        """Fetch a response and return the result of `read`; None if the source knows that there is no data.

        `read` runs in another thread. A response that it refuses counts as a failure of the source. A request over a
        network ends at once if the caller is cancelled.

        Raises:
            SourceUnreachableError: no answer.
            SourceRefusedError: `read` refused the answer.
            CircuitOpenError: the circuit breaker of the source is open.
        """


def day_request(day: date) -> SourceRequest:
    """Make the request for a game day."""
    return SourceRequest(name=day.isoformat(), day=day)


def readable(name: str) -> str:
    """Return a file name as valid UTF-8, as PostgreSQL needs it; undecodable bytes are replaced."""
    return os.fsencode(name).decode(errors="replace")
