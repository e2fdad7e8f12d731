"""Baseball Savant, a day at a time, through pybaseball; what is kept is the bytes that came over the wire."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ondeck_core.errors import OndeckError
from ondeck_ingest.sources.capturing import PATCHING, CapturingSession, in_words

_LONGEST_PAUSE: Final = 30


class SavantUnreachableError(OndeckError):
    """Savant gave no answer, or none that holds a day."""


@dataclass(frozen=True, kw_only=True)
class Savant:
    """Where and how patiently Savant is asked; `timeout` in seconds for each request."""

    url: str
    timeout: float
    attempts: int
    longest_pause: float = _LONGEST_PAUSE

    def fetch(self, day: date) -> bytes | None:
        """Fetch the CSV of a day as it came; None where pybaseball knows the day to be out of season.

        Raises:
            SavantUnreachableError: no answer after all attempts; the text says what came instead.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(SavantUnreachableError),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.5, max=self.longest_pause),
            reraise=True,
        )
        return retrying(self._ask, day)

    def _ask(self, day: date) -> bytes | None:
        session = CapturingSession(self.timeout)
        with _pybaseball_through(session, self.url) as statcast:
            try:
                statcast(start_dt=day.isoformat(), end_dt=day.isoformat(), verbose=False, parallel=False)
            except requests.RequestException as failed:
                raise SavantUnreachableError(f"{self.url} {in_words(failed)}") from failed
            except Exception:
                # pybaseball could not read what came. The bytes are judged by our own reader, with a better text.
                if not session.bodies:
                    raise
        return session.bodies[0] if session.bodies else None


@contextmanager
def _pybaseball_through(session: CapturingSession, url: str) -> Iterator[Any]:
    """Have pybaseball ask through our session, at our address and without a progress bar; one user at a time."""
    import pybaseball  # noqa: PLC0415  takes a second, and only the network source needs it
    import pybaseball.datasources.statcast as wire  # noqa: PLC0415  the same

    walk: Any = sys.modules["pybaseball.statcast"]
    with PATCHING:
        before = wire.requests, wire.ROOT_URL, walk.tqdm
        wire.requests, wire.ROOT_URL, walk.tqdm = session, url.rstrip("/"), partial(before[2], disable=True)
        try:
            yield pybaseball.statcast
        finally:
            wire.requests, wire.ROOT_URL, walk.tqdm = before
