"""A circuit breaker: a source that fails again and again is left alone for a while, and that is told once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import structlog
from purgatory import ContextChanged, Event, SyncCircuitBreakerFactory
from purgatory.domain.model import CLOSED, OPENED, OpenedState

from ondeck_ingest.sources.base import CircuitOpenError

ANSWERS: Final = "answers"
RESTS: Final = "rests"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class CircuitState:
    """Whether a source is asked; while it rests: until when, and what it said last."""

    source: str
    state: Literal["answers", "rests"]
    until: datetime | None = None
    reason: str | None = None


class CircuitBreaker:
    """Opens after so many failures in a row, for so many seconds; then one request decides."""

    def __init__(self, source: str, *, failures: int, seconds: float) -> None:
        circuits = SyncCircuitBreakerFactory()
        circuits.add_listener(self._changed)
        self._circuit = circuits.get_breaker(source, threshold=failures, ttl=seconds)
        self._rest = timedelta(seconds=seconds)
        self._reason: str | None = None
        self.state = CircuitState(source=source, state=ANSWERS)

    def seconds_left(self) -> float:
        """Tell for how many seconds the source is left alone from now on."""
        if self.state.until is None:
            return 0.0
        return max(0.0, (self.state.until - datetime.now(UTC)).total_seconds())

    def refuse_while_resting(self) -> None:
        """Stop a request that waited for its turn while others failed.

        Raises:
            CircuitOpenError: the source is left alone.
        """
        if left := self.seconds_left():
            raise CircuitOpenError(f"{self.state.source} is left alone for another {left:.0f} s: {self._reason}")

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Have one request pass; what it raises counts against the source.

        Raises:
            CircuitOpenError: the source is left alone; the request must not be sent.
        """
        self.refuse_while_resting()
        try:
            with self._circuit, self._listening():
                yield
        except OpenedState:
            raise CircuitOpenError(f"{self.state.source} is left alone: {self._reason}") from None

    @contextmanager
    def _listening(self) -> Iterator[None]:
        try:
            yield
        except CircuitOpenError:
            raise
        except Exception as failed:
            self._reason = str(failed)
            raise

    def _changed(self, source: str, _: str, event: Event) -> None:
        if not isinstance(event, ContextChanged):
            return
        if event.state == OPENED and event.opened_at is not None:
            self._open(source, datetime.fromtimestamp(event.opened_at, tz=UTC) + self._rest)
        elif event.state == CLOSED:
            self.state = CircuitState(source=source, state=ANSWERS)
            log.info("source answers again", source=source)

    def _open(self, source: str, until: datetime) -> None:
        first = self.state.state != RESTS
        self.state = CircuitState(source=source, state=RESTS, until=until, reason=self._reason)
        if first:
            log.warning("source left alone", source=source, until=until.isoformat(), reason=self._reason)
