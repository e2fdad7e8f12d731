"""The log lines of single calls: of calls that fail, and of unary calls that take long.

Neither costs a call that is fast and succeeds anything, and a flood of them fills no disk: a process writes a limited
number of lines a second, and each line states how many were left out before it. No line has a part of a request.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog
from google.rpc import code_pb2

from ondeck_runtime.correlation import CorrelatedWork

MAX_LOGGED_PATH: Final = 200  # characters of the path of a call that no method serves
MAX_LINES_PER_SECOND: Final = 20  # of each kind, in each process

log = structlog.get_logger()


class LineQuota:
    """How many lines may be written: so many a second, by a clock in seconds."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = -1
        self._written = self._left_out = 0

    def take(self) -> int | None:
        """Return how many lines were left out since the last one that was written; None: leave this one out, too."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= self._per_second:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


_REJECTED: Final = LineQuota(MAX_LINES_PER_SECOND)
_SLOW: Final = LineQuota(MAX_LINES_PER_SECOND)


def log_rejected(method: str, correlation_id: str, code: int, reason: str) -> None:
    """Log a call that ends with an error which is not INTERNAL; `reason` is that of its ErrorInfo, if it has one."""
    left_out = _REJECTED.take()
    if left_out is not None:
        log.info(
            "call_rejected",
            method=method,
            correlation_id=correlation_id,
            code=code_pb2.Code.Name(code),
            reason=reason,
            left_out=left_out,
        )


def log_slow(method: str, code: int, started_at: float, work: CorrelatedWork) -> None:
    """Log a call that ends now and has taken long, with its parts in seconds; `encode` includes what has no part.

    A call of several runs has the sums of their parts.
    """
    total = time.perf_counter() - started_at
    left_out = _SLOW.take()
    if left_out is None:
        return
    parts = {
        "queue": work.queue_seconds,
        "features": work.features_seconds,
        "run": work.run_seconds,
        "database": work.database_seconds,
    }
    rest = max(total - sum(parts.values()), 0.0)
    log.warning(
        "call_slow",
        method=method,
        correlation_id=work.correlation_id,
        code=code_pb2.Code.Name(code),
        total=round(total, 6),
        queue=round(parts["queue"], 6),
        features=round(parts["features"], 6),
        run=round(parts["run"], 6),
        encode=round(rest, 6),
        database=round(parts["database"], 6) or None,
        left_out=left_out,
    )
