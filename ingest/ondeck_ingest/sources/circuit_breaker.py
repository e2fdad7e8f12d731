"""A circuit breaker: stops the requests to a source after repeated failures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import structlog
from purgatory import ContextChanged, Event, SyncCircuitBreakerFactory
from purgatory.domain import model
from purgatory.domain.model import OpenedState

from ondeck_ingest.sources.base import CircuitOpenError

CLOSED: Final = "closed"
OPEN: Final = "open"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class CircuitState:
    """Whether requests are sent; if open: until when not, and the last error."""

    source: str
    state: Literal["closed", "open"]
    until: datetime | None = None
    reason: str | None = None


class CircuitBreaker:
    """Opens after `failures` failed requests in a row, for `seconds`; then one request closes or reopens it."""

    def __init__(self, source: str, *, failures: int, seconds: float) -> None:
        circuits = SyncCircuitBreakerFactory()
        circuits.add_listener(self._on_event)
        self._circuit = circuits.get_breaker(source, threshold=failures, ttl=seconds)
        self._open_time = timedelta(seconds=seconds)
        self._reason: str | None = None
        self.state = CircuitState(source=source, state=CLOSED)

    def seconds_left(self) -> float:
        """Return for how many more seconds the circuit is open; 0 if it is closed."""
        if self.state.until is None:
            return 0.0
        return max(0.0, (self.state.until - datetime.now(UTC)).total_seconds())

    def check_closed(self) -> None:
        """Check the state again for a request that waited inside `guard`.

        Raises:
            CircuitOpenError: other requests have opened the circuit.
        """
        if left := self.seconds_left():
            raise CircuitOpenError(
                f"the circuit of {self.state.source} is open for another {left:.0f} s: {self._reason}"
            )

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Run one request; an exception counts as a failure of the source.

        Raises:
            CircuitOpenError: the circuit is open; the request must not be sent.
        """
        self.check_closed()
        try:
            with self._circuit, self._record_reason():
                yield
        except OpenedState:
            raise CircuitOpenError(f"the circuit of {self.state.source} is open: {self._reason}") from None

    @contextmanager
    def _record_reason(self) -> Iterator[None]:
        try:
            yield
        except CircuitOpenError:
            raise
        except Exception as failed:
            self._reason = str(failed)
            raise

    def _on_event(self, source: str, _: str, event: Event) -> None:
        if not isinstance(event, ContextChanged):
            return
        if event.state == model.OPENED and event.opened_at is not None:
            self._open(source, datetime.fromtimestamp(event.opened_at, tz=UTC) + self._open_time)
        elif event.state == model.CLOSED:
            self.state = CircuitState(source=source, state=CLOSED)
            log.info("circuit_closed", source=source)

    def _open(self, source: str, until: datetime) -> None:
        is_first = self.state.state != OPEN
        self.state = CircuitState(source=source, state=OPEN, until=until, reason=self._reason)
        if is_first:
            log.warning("circuit_opened", source=source, until=until.isoformat(), reason=self._reason)
