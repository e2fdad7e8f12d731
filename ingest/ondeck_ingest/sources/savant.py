"""Baseball Savant, a day at a time, through pybaseball; what is handed over is the bytes that came over the wire."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError
from ondeck_ingest.sources.circuit_breaker import CircuitBreaker
from ondeck_ingest.sources.recording_session import PATCHING, RecordingSession, in_words

NAME: Final = "savant"
_LONGEST_PAUSE: Final = 30
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SavantSource:
    """Where and how patiently Savant is asked; `timeout` in seconds for each request."""

    name: ClassVar[str] = NAME
    remote: ClassVar[bool] = True
    simulated: ClassVar[bool] = False

    url: str
    timeout: float
    attempts: int
    breaker: CircuitBreaker
    longest_pause: float = _LONGEST_PAUSE

    def fetch(self, wanted: SourceRequest, read: Callable[[RawResponse], T]) -> T | None:
        """Fetch the CSV of a day as it came; None where pybaseball knows the day to be out of season.

        Raises:
            SourceUnreachableError: no answer after all attempts; the text says what came instead.
            SourceRefusedError: after all attempts still an answer that `read` refuses.
            CircuitOpenError: too many requests have failed lately; none was sent.
        """
        if wanted.day is None:
            raise ValueError(f"Savant is asked for days, not for {wanted.name}")
        retrying = Retrying(
            retry=retry_if_exception_type((SourceUnreachableError, SourceRefusedError)),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.5, max=self.longest_pause),
            reraise=True,
        )
        return retrying(self._ask, wanted.day, read)

    def _ask(self, day: date, read: Callable[[RawResponse], T]) -> T | None:
        with self.breaker.guard():
            content = self._request(day)
            if content is None:
                return None
            return read(RawResponse(unit=day.isoformat(), content=content, fetched_at=datetime.now(UTC)))

    def _request(self, day: date) -> bytes | None:
        session = RecordingSession(self.timeout)
        with _pybaseball_through(session, self.url) as statcast:
            self.breaker.refuse_while_resting()
            try:
                statcast(start_dt=day.isoformat(), end_dt=day.isoformat(), verbose=False, parallel=False)
            except requests.RequestException as failed:
                raise SourceUnreachableError(f"{self.url} {in_words(failed)}") from failed
            except Exception:
                # pybaseball could not read what came. The bytes are judged by our own reader, with a better text.
                if not session.bodies:
                    raise
        return session.bodies[0] if session.bodies else None


@contextmanager
def _pybaseball_through(session: RecordingSession, url: str) -> Iterator[Any]:
    """Have pybaseball ask through our session, at our address, uncached and without a progress bar; one at a time."""
    import pybaseball  # noqa: PLC0415  takes a second, and only the network source needs it
    import pybaseball.datasources.statcast as wire  # noqa: PLC0415  the same

    walk: Any = sys.modules["pybaseball.statcast"]
    with PATCHING:
        before = wire.requests, wire.ROOT_URL, walk.tqdm, pybaseball.cache.config.enabled
        wire.requests, wire.ROOT_URL, walk.tqdm = session, url.rstrip("/"), partial(before[2], disable=True)
        pybaseball.cache.config.enabled = False  # it would hold a day of today for a year
        try:
            yield pybaseball.statcast
        finally:
            wire.requests, wire.ROOT_URL, walk.tqdm, pybaseball.cache.config.enabled = before
