"""The correlation id of the call, job or run that code works for, and where the seconds of that work went.

One context variable holds the work. Tasks and callbacks inherit it; each log line and each slow statement reads it.
"""

import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

MAX_CORRELATION_ID: Final = 128  # characters; longer ids are replaced
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_ID_BYTES: Final = 16  # as many as a trace id of W3C has


class CorrelatedWork(ABC):
    """A call, a job or a run; the seconds are sums, and most work never sets them."""

    queue_seconds: float = 0.0
    features_seconds: float = 0.0
    run_seconds: float = 0.0
    database_seconds: float = 0.0
    span: Any = None  # of OpenTelemetry, if traces are exported

    @property
    @abstractmethod
    def correlation_id(self) -> str:
        """Id of this work in logs, traces and errors."""


class CorrelatedRun(CorrelatedWork):
    """A job or a run of a program."""

    def __init__(self, correlation_id: str) -> None:
        self._correlation_id = correlation_id

    @property
    def correlation_id(self) -> str:
        """Id of this run."""
        return self._correlation_id


CURRENT_WORK: Final[ContextVar[CorrelatedWork | None]] = ContextVar("current_work", default=None)
# When the last run of a model in this context started, after its features were computed; by `time.perf_counter`.
RUN_STARTED_AT: Final[ContextVar[float]] = ContextVar("run_started_at", default=0.0)


def make_correlation_id() -> str:
    """Return a new id, valid as a W3C trace id: 32 hexadecimal digits."""
    return secrets.token_hex(_ID_BYTES)


def current_correlation_id() -> str:
    """Return the id of the current work; "" outside of any."""
    current = CURRENT_WORK.get()
    return "" if current is None else current.correlation_id


@contextmanager
def correlated(correlation_id: str = "") -> Iterator[CorrelatedRun]:
    """Work under an id within the block; "", or an id that no call could carry: a new one."""
    run = CorrelatedRun(correlation_id if _is_valid(correlation_id) else make_correlation_id())
    token = CURRENT_WORK.set(run)
    try:
        yield run
    finally:
        CURRENT_WORK.reset(token)


def _is_valid(correlation_id: str) -> bool:
    """Return whether gRPC carries an id: printable ASCII characters, not too many, no spaces at the ends."""
    is_sendable = correlation_id.isascii() and correlation_id.isprintable() and correlation_id == correlation_id.strip()
    return is_sendable and 0 < len(correlation_id) <= MAX_CORRELATION_ID


def trace_id_of(traceparent: str) -> str:
    """Return the trace id of a W3C traceparent header; "" if the header is invalid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""
