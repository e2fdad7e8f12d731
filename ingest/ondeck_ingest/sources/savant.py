"""Baseball Savant, a day at a time, through pybaseball; what is kept is the bytes that came over the wire."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Final

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ondeck_core.errors import OndeckError

_PATCHING: Final = threading.Lock()
_OK: Final = 200
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
        session = _CapturingSession(self.timeout)
        with _pybaseball_through(session, self.url) as statcast:
            try:
                statcast(start_dt=day.isoformat(), end_dt=day.isoformat(), verbose=False, parallel=False)
            except requests.RequestException as failed:
                raise SavantUnreachableError(f"{self.url} {_in_words(failed)}") from failed
            except Exception:
                # pybaseball could not read what came. The bytes are judged by our own reader, with a better text.
                if not session.bodies:
                    raise
        return session.bodies[0] if session.bodies else None


def _in_words(failed: requests.RequestException) -> str:
    if isinstance(failed, requests.Timeout):
        return "did not answer in time"
    if isinstance(failed, requests.HTTPError):
        return f"answered with {failed}"
    if isinstance(failed, requests.exceptions.ChunkedEncodingError):
        return "broke off in the middle of its answer"
    return "cannot be reached"


@dataclass
class _CapturingSession:
    """Stands where pybaseball has the `requests` module: adds the deadline it lacks and keeps the bodies."""

    timeout: float
    bodies: list[bytes] = field(default_factory=list)

    def get(self, url: str, **_: object) -> requests.Response:
        """Get an address; anything but 200 is an error, as is (to requests) a body that stops short."""
        response = requests.get(url, timeout=self.timeout)
        if response.status_code != _OK:
            raise requests.HTTPError(f"status {response.status_code} {response.reason}")
        self.bodies.append(response.content)
        return response


@contextmanager
def _pybaseball_through(session: _CapturingSession, url: str) -> Iterator[Any]:
    """Have pybaseball ask through our session, at our address and without a progress bar; one user at a time."""
    import pybaseball  # noqa: PLC0415  takes a second, and only the network source needs it
    import pybaseball.datasources.statcast as wire  # noqa: PLC0415  the same

    walk: Any = sys.modules["pybaseball.statcast"]
    with _PATCHING:
        before = wire.requests, wire.ROOT_URL, walk.tqdm
        wire.requests, wire.ROOT_URL, walk.tqdm = session, url.rstrip("/"), partial(before[2], disable=True)
        try:
            yield pybaseball.statcast
        finally:
            wire.requests, wire.ROOT_URL, walk.tqdm = before
